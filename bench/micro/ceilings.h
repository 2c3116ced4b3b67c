// What the machine can do at best, measured: the denominators of every share of the roofline.
//
// Clocks and memory of a shared machine drift by a factor of two within a run, so a ceiling is
// sampled beside every round of a case, in some 20 ms, and the best sample counts for that case.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "worker/backend/host/memory.h"

namespace bessemer::bench {

class Ceilings {
 public:
  // `isa`: whose instructions the peaks use ("scalar" has no peaks: 0).
  Ceilings(const std::string& isa, int32_t threads);

  // One sample each, of all threads together.
  double read_gb_s() const;    // reading memory far larger than any cache
  double int8_gop_s() const;   // products and sums of 8-bit values (2 operations each)
  double f32_gflop_s() const;  // fused multiply-adds (2 operations each)

 private:
  const std::string isa_;
  std::vector<host::Array<uint64_t>> memory_;  // a thread's own, as weights are allocated
};

}  // namespace bessemer::bench
