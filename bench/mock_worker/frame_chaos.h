// Loses, repeats, reorders and delays the StepBatches of one lane, as MockFaults says: a state
// machine, its chances drawn from a seed.
#pragma once
#include <cstdint>
#include <vector>

#include "bench/mock_worker/mock_faults.h"
#include "bessemer/v1/engine.pb.h"
#include "common/random.h"

namespace bessemer {

class FrameChaos {
 public:
  FrameChaos(const MockFaults& faults, uint64_t seed) : faults_(faults), random_(seed) {}

  // Appends to `out` what is to be written now that `frame` comes: it, nothing, it twice, or it and
  // the one that it has overtaken.
  void pass(v1::WorkerFrame frame, int64_t now_us, std::vector<v1::WorkerFrame>& out);
  // What was held back for long enough.
  void release(int64_t now_us, std::vector<v1::WorkerFrame>& out);

 private:
  struct Held {
    v1::WorkerFrame frame;
    int64_t until_us = 0;
    bool overtaken = false;  // goes out behind the next frame
  };
  bool chance(const std::atomic<int32_t>& thousandths) {
    return static_cast<int32_t>(random_.below(1000)) < thousandths.load(std::memory_order_relaxed);
  }

  const MockFaults& faults_;
  Random random_;
  std::vector<Held> held_;
};

}  // namespace bessemer
