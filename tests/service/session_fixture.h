// A SessionCore and the worker and router on both sides of it, driven by hand.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/features.h"
#include "tests/service/fake_host.h"

namespace bessemer::testing {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() { limits_.max_attempts = 3; }

  SessionCore& core() {
    if (!core_) core_ = std::make_unique<SessionCore>(facts_, limits_, host_, fence_, now_);
    return *core_;
  }
  void hello(std::vector<Feature> features = {}) {
    v1::RouterFrame frame;
    frame.mutable_hello()->set_protocol_min(1);
    frame.mutable_hello()->set_protocol_max(1);
    for (const Feature each : features)
      frame.mutable_hello()->add_features(static_cast<uint32_t>(each));
    core().on_frame(frame, now_);
  }
  void attach(uint64_t handle, const v1::Start& start, std::vector<uint32_t> offsets) {
    v1::RouterFrame frame;
    v1::Attach& attach = *frame.mutable_attach();
    attach.set_attempt(handle);
    attach.set_request_id(start.request_id());
    attach.set_epoch(start.epoch());
    attach.mutable_next_offset()->Add(offsets.begin(), offsets.end());
    core().on_frame(frame, now_);
  }
  // The lane is lost, and another one comes; its only attempt is an orphan meanwhile.
  void lose_lane(std::vector<EngineEvent> events_between = {}) {
    core().on_hang_up();
    auto orphans = core().take_orphans();
    ASSERT_EQ(orphans.size(), 1u);
    for (const EngineEvent& event : events_between) orphans[0].tail.note(event);
    host_.orphan = std::move(orphans[0]);
    core_.reset();
    hello({Feature::attach});
    said();
  }
  EngineEvent of_first(decltype(EngineEvent::what) what) {
    return {host_.submitted.at(0).id, std::move(what)};
  }
  // Its first id is there, the others come as chunks.
  static v1::Start chunked_start(uint64_t attempt, uint32_t total) {
    v1::Start start = small_start(attempt, {5});
    start.set_chunked(true);
    start.mutable_input()->set_total_ids(total);
    return start;
  }
  void start(const v1::Start& start) {
    v1::RouterFrame frame;
    *frame.mutable_start() = start;
    core().on_frame(frame, now_);
  }
  void chunk(uint64_t attempt, uint32_t seq, std::vector<uint32_t> ids, bool last) {
    v1::RouterFrame frame;
    v1::Chunk& chunk = *frame.mutable_chunk();
    chunk.set_attempt(attempt);
    chunk.set_seq(seq);
    chunk.mutable_ids()->Add(ids.begin(), ids.end());
    chunk.set_last(last);
    core().on_frame(frame, now_);
  }
  void delivered_chunk(uint64_t attempt, uint32_t seq, uint32_t part, std::vector<uint32_t> ids,
                       bool last) {
    v1::RouterFrame frame;
    v1::Chunk& chunk = *frame.mutable_chunk();
    chunk.set_attempt(attempt);
    chunk.set_seq(seq);
    chunk.set_part(part);
    chunk.mutable_ids()->Add(ids.begin(), ids.end());
    chunk.set_last(last);
    core().on_frame(frame, now_);
  }
  void cancel(uint64_t attempt, std::vector<uint32_t> choices = {}) {
    v1::RouterFrame frame;
    frame.mutable_cancel()->set_attempt(attempt);
    frame.mutable_cancel()->mutable_choices()->Add(choices.begin(), choices.end());
    core().on_frame(frame, now_);
  }
  void credit(uint64_t attempt, uint32_t send_until) {
    v1::RouterFrame frame;
    frame.mutable_credit()->set_attempt(attempt);
    frame.mutable_credit()->set_send_until(send_until);
    core().on_frame(frame, now_);
  }
  template <typename What>
  void event(size_t submitted, What what) {
    core().on_event(++step_, {host_.submitted.at(submitted).id, std::move(what)}, now_);
  }
  // All StepBatches that wait, in one; other frames are dropped.
  v1::StepBatch said() {
    v1::StepBatch all;
    for (v1::WorkerFrame frame; core().next_frame(frame);) {
      if (frame.has_step()) all.MergeFrom(frame.step());
    }
    return all;
  }
  v1::Rejected rejection() {
    const v1::StepBatch batch = said();
    EXPECT_EQ(batch.before_size(), 1);
    return batch.before_size() == 1 ? batch.before(0).rejected() : v1::Rejected();
  }
  std::string closed() {
    return core().closed() ? std::string(core().closed()->message()) : "open";
  }

  WorkerFacts facts_ = small_facts();
  SessionLimits limits_;
  FakeHost host_;
  EpochFence fence_;
  TimePoint now_{};
  StepId step_ = 0;
  std::unique_ptr<SessionCore> core_;
};

}  // namespace bessemer::testing
