// What one step of a mock tells each lane: one frame a lane.
#pragma once
#include <memory>
#include <utility>
#include <vector>

#include "bench/mock_worker/mock_attempt.h"

namespace bessemer {

class MockBatches {
 public:
  MockBatches(uint64_t step, int64_t now_us) : step_(step), now_us_(now_us) {}

  // The frame of `sink`; what is written for orphans (null) goes nowhere.
  v1::StepBatch& of(const std::shared_ptr<MockSink>& sink) {
    for (auto& [owner, frame] : frames_) {
      if (owner == sink) return *frame.mutable_step();
    }
    auto& batch = *frames_.emplace_back(sink, v1::WorkerFrame()).second.mutable_step();
    batch.set_step(step_);
    batch.set_mono_us(static_cast<uint64_t>(now_us_));
    return batch;
  }
  void send() {
    for (auto& [sink, frame] : frames_) {
      const v1::StepBatch& batch = frame.step();
      const bool empty = batch.before().empty() && batch.after().empty() && batch.ids().empty();
      if (sink != nullptr && !empty) sink->send(std::move(frame));
    }
  }

 private:
  const uint64_t step_;
  const int64_t now_us_;
  std::vector<std::pair<std::shared_ptr<MockSink>, v1::WorkerFrame>> frames_;
};

}  // namespace bessemer
