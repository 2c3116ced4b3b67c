#include "bench/mock_worker/mock_lane.h"

#include <chrono>
#include <deque>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include "bench/mock_worker/frame_chaos.h"
#include "bessemer/v1/engine.grpc.pb.h"
#include "router/upstream/call_count.h"

namespace bessemer {
namespace {

int64_t now_us() {
  return microseconds(std::chrono::steady_clock::now().time_since_epoch());
}

class SessionSet;

// One Session call.
class MockLane final : public grpc::ServerBidiReactor<v1::RouterFrame, v1::WorkerFrame>,
                       public MockSink,
                       public std::enable_shared_from_this<MockLane> {
 public:
  MockLane(SessionSet& home, uint64_t chaos_seed);
  void begin();

  void send(v1::WorkerFrame frame) override;
  void sever() override { finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "severed")); }
  void on_tick(int64_t now);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override { finish(grpc::Status::CANCELLED); }
  void OnDone() override;

 private:
  void finish(const grpc::Status& status);
  void act_and_read();
  void act();
  void act_on_start();
  void act_on_chunk();
  void act_on_ping();
  void start(const v1::Start& start);
  void write_next();

  const CallCount::Hold counted_;  // first
  SessionSet& home_;
  v1::RouterFrame incoming_;
  std::unordered_map<uint64_t, v1::Start> arriving_;  // wait for the rest of their prompts
  uint64_t last_handle_ = 0;
  std::mutex mutex_;
  FrameChaos chaos_;
  bool finished_ = false, writing_ = false;
  bool acting_ = false;                // on `incoming_`: no read is under way
  std::optional<grpc::Status> end_;    // finish() came meanwhile
  bool unread_ = false;                // `incoming_` came while the worker was frozen
  std::deque<v1::WorkerFrame> queue_;  // the front one is being written, if any is
  std::shared_ptr<MockLane> self_;
};

class SessionSet final : public MockSessions, public v1::Engine::CallbackService {
 public:
  SessionSet(const MockFacts& f, MockEngine& e, Complaints& c, uint64_t chaos_seed)
      : facts(f), engine(e), complaints(c), seeds_(chaos_seed) {}

  grpc::ServerBidiReactor<v1::RouterFrame, v1::WorkerFrame>* Session(
      grpc::CallbackServerContext*) override {
    std::shared_ptr<MockLane> lane;
    {
      std::lock_guard lock(mutex_);
      lane = std::make_shared<MockLane>(*this, seeds_.next());
      std::erase_if(lanes_, [](const auto& one) { return one.expired(); });
      lanes_.push_back(lane);
    }
    lane->begin();
    return lane.get();
  }
  grpc::Service* service() override { return this; }
  void on_tick(int64_t now) override {
    for (const auto& lane : lanes()) lane->on_tick(now);
  }
  void drain(uint32_t deadline_ms) override {
    v1::WorkerFrame frame;
    frame.mutable_drain()->set_deadline_ms(deadline_ms);
    for (const auto& lane : lanes()) lane->send(frame);
  }
  void wait_for_none() override { calls.wait_for_none(); }

  const MockFacts& facts;
  MockEngine& engine;
  Complaints& complaints;
  CallCount calls;

 private:
  std::vector<std::shared_ptr<MockLane>> lanes() {
    std::vector<std::shared_ptr<MockLane>> all;
    std::lock_guard lock(mutex_);
    for (const auto& weak : lanes_) {
      if (auto lane = weak.lock()) all.push_back(std::move(lane));
    }
    return all;
  }

  std::mutex mutex_;
  Random seeds_;
  std::vector<std::weak_ptr<MockLane>> lanes_;
};

MockLane::MockLane(SessionSet& home, uint64_t chaos_seed)
    : counted_(home.calls), home_(home), chaos_(home.engine.faults(), chaos_seed) {}

void MockLane::begin() {
  self_ = shared_from_this();
  home_.engine.add_lane(self_);
  StartRead(&incoming_);
}

void MockLane::send(v1::WorkerFrame frame) {
  std::lock_guard lock(mutex_);
  if (finished_) return;
  std::vector<v1::WorkerFrame> passed;
  chaos_.pass(std::move(frame), now_us(), passed);
  for (auto& one : passed) queue_.push_back(std::move(one));
  write_next();
}

void MockLane::write_next() {
  if (finished_ || writing_ || queue_.empty() || home_.engine.faults().frozen) return;
  writing_ = true;
  StartWrite(&queue_.front());
}

void MockLane::on_tick(int64_t now) {
  if (home_.engine.faults().frozen) return;
  bool read = false;
  {
    std::lock_guard lock(mutex_);
    std::vector<v1::WorkerFrame> released;
    chaos_.release(now, released);
    for (auto& one : released) queue_.push_back(std::move(one));
    write_next();
    read = std::exchange(unread_, false) && !finished_;
  }
  if (read) act_and_read();
}

void MockLane::OnReadDone(bool ok) {
  if (!ok) return finish(grpc::Status::OK);
  if (home_.engine.faults().frozen) {
    std::lock_guard lock(mutex_);
    unread_ = true;
    return;
  }
  act_and_read();
}

// Nothing may be started behind Finish.
void MockLane::act_and_read() {
  {
    std::lock_guard lock(mutex_);
    if (finished_) return;
    acting_ = true;
  }
  act();
  std::lock_guard lock(mutex_);
  acting_ = false;
  if (end_) {
    Finish(*end_);
  } else {
    StartRead(&incoming_);
  }
}

void MockLane::OnWriteDone(bool ok) {
  std::lock_guard lock(mutex_);
  writing_ = false;
  queue_.pop_front();
  if (ok) write_next();
}

void MockLane::OnDone() {
  home_.engine.forget(this);
  const auto self = std::move(self_);  // destroyed here, unless the ticker still has it
}

void MockLane::finish(const grpc::Status& status) {
  std::lock_guard lock(mutex_);
  if (std::exchange(finished_, true)) return;
  if (acting_) {
    end_ = status;
  } else {
    Finish(status);
  }
}

void MockLane::act() {
  switch (incoming_.body_case()) {
    case v1::RouterFrame::kHello: {
      v1::WorkerFrame frame;
      *frame.mutable_hello() = home_.facts.hello;
      frame.mutable_hello()->set_lane(incoming_.hello().lane());
      return send(std::move(frame));
    }
    case v1::RouterFrame::kStart:
      return act_on_start();
    case v1::RouterFrame::kChunk:
      return act_on_chunk();
    case v1::RouterFrame::kCancel:
      if (arriving_.erase(incoming_.cancel().attempt()) > 0) return;
      return home_.engine.cancel(this, incoming_.cancel());
    case v1::RouterFrame::kCredit:
      return home_.engine.credit(this, incoming_.credit());
    case v1::RouterFrame::kAttach:
      last_handle_ = std::max(last_handle_, incoming_.attach().attempt());
      return home_.engine.attach(self_, incoming_.attach());
    case v1::RouterFrame::kPing:
      return act_on_ping();
    default:
      return;
  }
}

void MockLane::act_on_start() {
  const v1::Start& start_frame = incoming_.start();
  if (start_frame.attempt() <= last_handle_) {
    home_.complaints.add(
        fmt::format("handle {} comes after {}", start_frame.attempt(), last_handle_));
  }
  last_handle_ = std::max(last_handle_, start_frame.attempt());
  if (start_frame.chunked()) {
    arriving_[start_frame.attempt()] = start_frame;
  } else {
    start(start_frame);
  }
}

void MockLane::act_on_chunk() {
  const v1::Chunk& chunk = incoming_.chunk();
  const auto at = arriving_.find(chunk.attempt());
  if (at == arriving_.end()) return;
  v1::Start& whole_start = at->second;
  const int part = static_cast<int>(chunk.part());  // 0: of the prompt; else of a choice's output
  if (part > whole_start.resume().choices_size()) {
    return home_.complaints.add(fmt::format("a chunk of part {}", part));
  }
  auto* ids = part == 0 ? whole_start.mutable_input()->mutable_ids()
                        : whole_start.mutable_resume()->mutable_choices(part - 1)->mutable_ids();
  ids->MergeFrom(chunk.ids());
  if (!chunk.last()) return;
  const v1::Start whole = std::move(at->second);
  arriving_.erase(at);
  start(whole);
}

void MockLane::start(const v1::Start& start) {
  const uint32_t unsaid = used_but_not_required(start);
  if (unsaid != 0 && !start.request_id().empty()) {
    home_.complaints.add(
        fmt::format("feature {} is used, and an old worker would ignore it", unsaid));
  }
  if (const uint32_t missing = home_.facts.missing_for(start); missing != 0) {
    v1::WorkerFrame frame;
    auto* event = frame.mutable_step()->add_before();
    event->set_attempt(start.attempt());
    event->mutable_rejected()->set_reason(v1::REJECT_UNSUPPORTED);
    event->mutable_rejected()->set_detail(fmt::format("feature {}", missing));
    return send(std::move(frame));
  }
  if (start.has_resume() && !start.admission().uncharged())
    home_.complaints.add("a resume that is charged again");
  const auto& ids = start.input().ids();
  home_.engine.start(self_, start, {ids.begin(), ids.end()});
}

void MockLane::act_on_ping() {
  if (incoming_.ping().reply()) return;
  const EngineStats stats = home_.engine.stats();
  v1::WorkerFrame frame;
  *frame.mutable_ping() = incoming_.ping();
  frame.mutable_ping()->set_reply(true);
  frame.mutable_ping()->set_engine_steps(stats.steps);
  frame.mutable_ping()->set_work_pending(stats.work_pending);
  send(std::move(frame));
}

}  // namespace

std::unique_ptr<MockSessions> make_mock_sessions(const MockFacts& facts, MockEngine& engine,
                                                 Complaints& complaints, uint64_t chaos_seed) {
  return std::make_unique<SessionSet>(facts, engine, complaints, chaos_seed);
}

}  // namespace bessemer
