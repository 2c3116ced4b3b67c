// Any frames from a router, in any order, with engine events and time between them: the lane keeps
// its promises (S1-S3).
#include <map>
#include <set>

#include <fuzzer/FuzzedDataProvider.h>

#include "common/check.h"
#include "tests/service/fake_host.h"
#include "worker/service/session_core.h"

namespace bessemer {
namespace {

using testing::FakeHost;
using testing::small_facts;
using testing::small_start;

// What a router has seen of each handle.
struct Seen {
  std::set<uint64_t> over;

  void note(const v1::Event& event) {
    CHECK(!over.contains(event.attempt()));  // S1
    if (event.has_rejected() || event.has_done() || event.has_failed() || event.has_handoff())
      over.insert(event.attempt());
  }
  void note(const v1::StepBatch& step) {
    CHECK(step.choice_size() == step.attempt_size() && step.offset_size() == step.attempt_size() &&
          step.count_size() == step.attempt_size());
    for (const auto& event : step.before()) note(event);
    for (const uint64_t attempt : step.attempt()) CHECK(!over.contains(attempt));
    for (const auto& event : step.after()) note(event);
  }
};

class Lane {
 public:
  explicit Lane(FuzzedDataProvider& data) : data_(data), facts_(small_facts()) {
    limits_.max_attempts = 4;
    limits_.max_assembling_bytes = 4096;
    limits_.max_pending_bytes = 4096;
    core_ = std::make_unique<SessionCore>(facts_, limits_, host_, fence_, now_);
  }

  void run() {
    for (int i = 0; i < 200 && data_.remaining_bytes() > 0 && !core_->closed(); ++i) {
      act();
      CHECK(core_->attempts() <= 4);  // S3
      CHECK(host_.submitted.size() <= 200);
      for (v1::WorkerFrame frame; data_.ConsumeBool() && core_->next_frame(frame);) {
        CHECK(greeted_ || !frame.has_step());  // S2
        if (frame.has_step()) seen_.note(frame.step());
      }
    }
    for (const Orphan& orphan : core_->take_orphans()) CHECK(orphan.tail.choices() > 0);
    CHECK(core_->attempts() == 0);
  }

 private:
  void act() {
    switch (data_.ConsumeIntegralInRange<int>(0, 9)) {
      case 0:
        return raw_frame();
      case 1:
        return hello();
      case 2:
        return start();
      case 3:
        return chunk();
      case 4:
        return cancel();
      case 5:
        return engine_event();
      case 6:
        now_ += std::chrono::milliseconds(data_.ConsumeIntegralInRange<int>(0, 2000));
        return core_->on_tick(now_);
      case 7:
        return attach();
      case 8:
        return change_hands();
      default:
        host_.full = data_.ConsumeBool();
        host_.drains = data_.ConsumeBool();
    }
  }
  void send(const v1::RouterFrame& frame) {
    greeted_ |= frame.has_hello();
    core_->on_frame(frame, now_);
  }
  void raw_frame() {
    v1::RouterFrame frame;
    if (frame.ParseFromString(data_.ConsumeRandomLengthString(400))) send(frame);
  }
  void hello() {
    v1::RouterFrame frame;
    frame.mutable_hello()->set_protocol_min(1);
    frame.mutable_hello()->set_protocol_max(1);
    frame.mutable_hello()->set_max_frame_bytes(data_.ConsumeIntegral<uint16_t>());
    for (const uint32_t feature : offered_features()) {
      if (data_.ConsumeBool()) frame.mutable_hello()->add_features(feature);
    }
    if (!greeted_) send(frame);
  }
  void start() {
    v1::RouterFrame frame;
    handle_ += data_.ConsumeIntegralInRange<uint64_t>(0, 2);
    v1::Start start = small_start(data_.ConsumeIntegralInRange<uint64_t>(1, 9));
    start.MergeFromString(
        data_.ConsumeRandomLengthString(60));  // odd fields on top of a good request
    start.set_attempt(handle_);
    start.set_epoch(data_.ConsumeIntegralInRange<uint32_t>(0, 3));
    start.set_chunked(data_.ConsumeBool());
    if (start.chunked())
      start.mutable_input()->set_total_ids(data_.ConsumeIntegralInRange<uint32_t>(0, 80));
    *frame.mutable_start() = std::move(start);
    send(frame);
  }
  void chunk() {
    v1::RouterFrame frame;
    v1::Chunk& chunk = *frame.mutable_chunk();
    chunk.set_attempt(data_.ConsumeIntegralInRange<uint64_t>(0, handle_));
    chunk.set_seq(data_.ConsumeIntegralInRange<uint32_t>(0, 2));
    for (int i = data_.ConsumeIntegralInRange<int>(0, 40); i > 0; --i) chunk.add_ids(7);
    chunk.set_last(data_.ConsumeBool());
    send(frame);
  }
  void cancel() {
    v1::RouterFrame frame;
    frame.mutable_cancel()->set_attempt(data_.ConsumeIntegralInRange<uint64_t>(0, handle_));
    for (int i = data_.ConsumeIntegralInRange<int>(0, 20); i > 0; --i) {
      frame.mutable_cancel()->add_choices(data_.ConsumeIntegral<uint32_t>());
    }
    send(frame);
  }
  void attach() {
    v1::RouterFrame frame;
    v1::Attach& attach = *frame.mutable_attach();
    attach.set_attempt(handle_ += data_.ConsumeIntegralInRange<uint64_t>(0, 2));
    attach.set_request_id(host_.orphan ? host_.orphan->request_id : std::string(16, 'x'));
    attach.set_epoch(host_.orphan ? host_.orphan->epoch : 0);
    for (int i = data_.ConsumeIntegralInRange<int>(0, 3); i > 0; --i) {
      attach.add_next_offset(data_.ConsumeBool() ? data_.ConsumeIntegralInRange<uint32_t>(0, 9)
                                                 : kEndHeard);
    }
    send(frame);
  }
  // An attempt leaves for another lane; it may be attached to here again.
  void change_hands() {
    if (host_.submitted.empty()) return;
    auto orphan = core_->give_up(host_.submitted.back().id);
    if (orphan) host_.orphan = std::move(orphan);
  }
  // Of an attempt that the engine has, or had.
  void engine_event() {
    if (host_.submitted.empty()) return;
    const Request& request = data_.ConsumeBool() ? host_.submitted.front() : host_.submitted.back();
    CHECK(!request.prompt.empty() && request.max_tokens >= 1);
    EngineEvent event{request.id, {}};
    if (!request.resumed.empty() && !said_.contains(request.id))
      said_[request.id] = static_cast<int32_t>(request.resumed[0].ids.size());
    switch (data_.ConsumeIntegralInRange<int>(0, 6)) {
      case 0:
        event.what = Admitted{};
        break;
      case 1:
        event.what = Rejected{RejectReason::queue_full, "full"};
        break;
      case 2:
        event.what = Progress{1};
        break;
      case 3:
        event.what = Tokens{0, said_[request.id], {1, 2}, {{1, -1.0f, 1}, {2, -1.0f, 1}}};
        said_[request.id] += 2;
        break;
      case 4:
        event.what = PromptScores{0, 1, {{1, -1.0f, 1}}};
        break;
      case 5:
        event.what = Done{};
        break;
      default:
        event.what = Failed{Fault::device, "gone"};
    }
    if (core_->on_event(1, event, now_)) return;
    if (host_.orphan && host_.orphan->id == request.id) host_.orphan->tail.note(event);
  }

  FuzzedDataProvider& data_;
  const WorkerFacts facts_;
  SessionLimits limits_;
  FakeHost host_;
  EpochFence fence_;
  TimePoint now_{};
  std::unique_ptr<SessionCore> core_;
  uint64_t handle_ = 0;
  std::map<AttemptId, int32_t> said_;  // tokens of its choice 0
  bool greeted_ = false;
  Seen seen_;
};

}  // namespace
}  // namespace bessemer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  FuzzedDataProvider data(bytes, size);
  bessemer::Lane(data).run();
  return 0;
}
