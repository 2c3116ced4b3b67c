// What the lanes hand to the cores: values, grouped so that one frame of a worker costs one post
// per core.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "bessemer/v1/engine.pb.h"
#include "common/clock.h"
#include "router/cluster/loss_cause.h"

namespace bessemer {

// Names an attempt within this router process: the core that owns it, and a number never reused on
// that core.
struct AttemptKey {
  uint32_t core = 0;
  uint64_t serial = 0;
};

// Accepted output of one choice: these ids follow exactly what was delivered before (E7).
struct TokenRow {
  int32_t choice = 0;
  int32_t offset = 0;                             // output tokens of this choice before these
  std::span<const uint32_t> ids;                  // at least one; lies in the batch's frame
  std::span<const v1::Logprobs* const> logprobs;  // by index; empty unless asked for
};

// Nothing more will come of this attempt.
struct AttemptLost {
  std::shared_ptr<const std::string> reason;
  LossCause cause = LossCause::lane;
};

// The attempt goes on, but its worker ends what it has in `grace`.
struct WorkerDrains {
  Duration grace{};
};

struct Delivery {
  uint64_t serial = 0;
  std::variant<TokenRow, const v1::Event*, AttemptLost, WorkerDrains> what;
};

struct CoreBatch {
  uint32_t core = 0;
  std::shared_ptr<const v1::WorkerFrame>
      frame;                    // keeps rows and events alive; null where there are none
  std::vector<Delivery> items;  // in order
};

// The batches of one frame.
class Deliveries {
 public:
  explicit Deliveries(std::shared_ptr<const v1::WorkerFrame> frame = nullptr)
      : frame_(std::move(frame)) {}
  void add(AttemptKey key, decltype(Delivery::what) what) {
    batch_of(key.core).items.push_back({key.serial, std::move(what)});
  }
  std::vector<CoreBatch>& batches() { return batches_; }

 private:
  CoreBatch& batch_of(uint32_t core) {
    for (auto& batch : batches_) {
      if (batch.core == core) return batch;
    }
    batches_.push_back({core, frame_, {}});
    return batches_.back();
  }
  std::shared_ptr<const v1::WorkerFrame> frame_;
  std::vector<CoreBatch> batches_;
};

}  // namespace bessemer
