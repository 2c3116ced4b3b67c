#include "worker/service/session_service.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "bessemer/v1/engine.grpc.pb.h"
#include "common/check.h"
#include "worker/service/session_core.h"

namespace bessemer {
namespace {

grpc::Status to_grpc(const Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

class LaneSet;

class Lane final : public grpc::ServerBidiReactor<v1::RouterFrame, v1::WorkerFrame>,
                   public EventSink,
                   public SessionHost,
                   public std::enable_shared_from_this<Lane> {
 public:
  Lane(LaneSet& home, grpc::CallbackServerContext* context);

  void begin();
  void on_tick(TimePoint now);
  void drain(uint32_t deadline_ms);
  void close_when_flushed();

 private:
  // EventSink, on the engine thread.
  std::vector<EngineEvent> deliver(StepId step, std::span<const EngineEvent> events) override;
  // EventSink, on the thread of another lane's read.
  void surrender(AttemptId attempt) override;
  // SessionHost, called by the core under mutex_.
  AttemptId new_attempt() override;
  bool submit(Request request) override;
  void cancel(AttemptId attempt, std::span<const int32_t> choices) override;
  void credit(AttemptId attempt, int32_t send_until) override;
  std::optional<Orphan> adopt(const std::string& request_id, uint32_t epoch) override;
  void abandon(AttemptId attempt) override;
  EngineStats stats() const override;
  void greet(uint64_t router) override;
  void demand(const v1::Demand& demand) override;
  GrantShare grant_share() const override;
  bool draining() const override;
  // Reactor.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override;

  void pump();
  void cancel_stuck_write(std::unique_lock<std::mutex> lock);
  void finish(const Status& status);

  LaneSet& home_;
  grpc::CallbackServerContext* const context_;
  std::mutex mutex_;
  SessionCore core_;
  std::optional<uint64_t> router_;  // whose lane it is, once it has said so
  v1::RouterFrame incoming_;
  v1::WorkerFrame outgoing_;
  bool writing_ = false, cancelling_ = false, cancelled_ = false, closing_ = false,
       finished_ = false;
};

// The service and all of its lanes.
class LaneSet final : public SessionService, public v1::Engine::CallbackService {
 public:
  LaneSet(const WorkerFacts& f, const SessionLimits& l, size_t max_lanes, Hub& h, const Clock& c)
      : facts(f),
        limits(l),
        hub(h),
        clock(c),
        orphans(std::make_shared<Orphans>(h)),
        max_lanes_(max_lanes) {}
  ~LaneSet() override {
    std::unique_lock lock(mutex_);
    none_left_.wait(lock, [&] { return lanes_.empty(); });  // T3
  }

  grpc::ServerBidiReactor<v1::RouterFrame, v1::WorkerFrame>* Session(
      grpc::CallbackServerContext* context) override;

  grpc::Service* service() override { return this; }
  void on_tick(TimePoint now) override {
    for (const auto& lane : snapshot()) lane->on_tick(now);
    orphans->on_tick(now);
  }
  void drain(uint32_t deadline_ms) override {
    for (const auto& lane : snapshot()) lane->drain(deadline_ms);
  }
  void close() override {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    for (const auto& lane : snapshot()) lane->close_when_flushed();
  }
  size_t lanes() const override {
    std::lock_guard lock(mutex_);
    return lanes_.size();
  }
  Duration orphan_time() const { return std::chrono::milliseconds(limits.orphan_ms); }
  // Whoever has the attempt that is named makes it an orphan.
  void free_for(const v1::Attach& attach) {
    const auto holder = fence.holder(attach.request_id(), attach.epoch());
    if (!holder) return;
    if (const auto sink = hub.sink_of(*holder)) sink->surrender(*holder);
  }
  void greet(uint64_t router) {
    std::lock_guard lock(mutex_);
    lanes_of_[router]++;
  }
  // What share of the room is a lane's of this router.
  double share_of(uint64_t router) const {
    std::unique_lock lock(mutex_);
    const size_t all = lanes_.size();
    const auto mine = lanes_of_.find(router);
    const size_t lanes = mine == lanes_of_.end() ? 1 : mine->second;
    lock.unlock();
    return lane_share(hub.ledger().share_of(router, clock.now()), lanes, all);
  }
  void remove(const std::shared_ptr<Lane>& lane, std::optional<uint64_t> router) {
    std::lock_guard lock(mutex_);
    lanes_.erase(lane);
    if (router && --lanes_of_[*router] == 0) lanes_of_.erase(*router);
    if (lanes_.empty()) none_left_.notify_all();
  }

  const WorkerFacts& facts;
  const SessionLimits& limits;
  Hub& hub;
  const Clock& clock;
  const std::shared_ptr<Orphans> orphans;
  EpochFence fence;

 private:
  std::vector<std::shared_ptr<Lane>> snapshot() const {
    std::lock_guard lock(mutex_);
    return {lanes_.begin(), lanes_.end()};
  }

  const size_t max_lanes_;
  mutable std::mutex mutex_;
  std::condition_variable none_left_;
  std::set<std::shared_ptr<Lane>> lanes_;
  std::map<uint64_t, size_t> lanes_of_;  // by router
  bool closed_ = false;
};

// For calls that are refused before they become a lane.
class Refused final : public grpc::ServerBidiReactor<v1::RouterFrame, v1::WorkerFrame> {
 public:
  explicit Refused(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

grpc::ServerBidiReactor<v1::RouterFrame, v1::WorkerFrame>* LaneSet::Session(
    grpc::CallbackServerContext* context) {
  std::shared_ptr<Lane> lane;
  {
    std::lock_guard lock(mutex_);
    if (closed_)
      return new Refused({grpc::StatusCode::UNAVAILABLE, "this worker is shutting down"});
    if (lanes_.size() >= max_lanes_) {
      return new Refused({grpc::StatusCode::RESOURCE_EXHAUSTED,
                          "this worker has " + std::to_string(lanes_.size()) +
                              " lanes open, its limit (max_lanes)"});
    }
    lane = std::make_shared<Lane>(*this, context);
    lanes_.insert(lane);
  }
  lane->begin();
  return lane.get();
}

Lane::Lane(LaneSet& home, grpc::CallbackServerContext* context)
    : home_(home),
      context_(context),
      core_(home.facts, home.limits, *this, home.fence, home.clock.now()) {}

void Lane::begin() {
  std::lock_guard lock(mutex_);
  StartRead(&incoming_);
  pump();
}

void Lane::OnReadDone(bool ok) {
  // The router may know of a lane's end long before it is seen here, so it attaches to what another
  // lane still has. That lane's lock and this one's are never held together.
  if (ok && incoming_.has_attach()) home_.free_for(incoming_.attach());
  std::lock_guard lock(mutex_);
  if (ok) {
    core_.on_frame(incoming_, home_.clock.now());
    if (!finished_) StartRead(&incoming_);
  } else {
    core_.on_hang_up();
  }
  pump();
}

void Lane::OnWriteDone(bool ok) {
  std::lock_guard lock(mutex_);
  writing_ = false;
  if (!ok) core_.on_hang_up();
  pump();
}

// What was on its way here while its attempt changed hands is another's by now.
std::vector<EngineEvent> Lane::deliver(StepId step, std::span<const EngineEvent> events) {
  std::vector<EngineEvent> of_others;
  std::lock_guard lock(mutex_);
  const TimePoint now = home_.clock.now();
  for (const EngineEvent& event : events) {
    if (!core_.on_event(step, event, now)) of_others.push_back(event);
  }
  pump();
  return of_others;
}

void Lane::surrender(AttemptId attempt) {
  std::lock_guard lock(mutex_);
  std::optional<Orphan> orphan = core_.give_up(attempt);
  if (!orphan) return;
  std::vector<Orphan> one;
  one.push_back(std::move(*orphan));
  home_.orphans->take_in(std::move(one), home_.clock.now() + home_.orphan_time());
}

void Lane::on_tick(TimePoint now) {
  std::unique_lock lock(mutex_);
  core_.on_tick(now);
  pump();
  cancel_stuck_write(std::move(lock));
}

void Lane::drain(uint32_t deadline_ms) {
  std::lock_guard lock(mutex_);
  core_.on_drain(deadline_ms);
  pump();
}

void Lane::close_when_flushed() {
  std::lock_guard lock(mutex_);
  closing_ = true;
  pump();
}

// Writes what waits, or ends the call. gRPC runs no reaction inside Start* and Finish, so they are
// called under the lock.
void Lane::pump() {
  if (finished_ || writing_ || cancelling_) return;
  if (core_.closed()) return finish(*core_.closed());
  if (core_.next_frame(outgoing_)) {
    writing_ = true;
    StartWrite(&outgoing_);
  } else if (closing_) {
    finish(absl::OkStatus());
  }
}

// A closed lane whose peer does not even take what was being written: without this its write might
// never end. TryCancel may run reactions, so it is called without the lock and holds back Finish
// meanwhile, since the context dies with the call.
void Lane::cancel_stuck_write(std::unique_lock<std::mutex> lock) {
  if (!core_.closed() || !writing_ || cancelled_) return;
  cancelled_ = cancelling_ = true;
  lock.unlock();
  context_->TryCancel();
  lock.lock();
  cancelling_ = false;
  pump();
}

void Lane::finish(const Status& status) {
  finished_ = true;
  const Duration kept = core_.is_attachable() ? home_.orphan_time() : Duration::zero();
  home_.orphans->take_in(core_.take_orphans(), home_.clock.now() + kept);
  Finish(to_grpc(status));
}

void Lane::OnDone() {
  home_.remove(shared_from_this(), router_);
}

void Lane::greet(uint64_t router) {
  router_ = router;
  home_.greet(router);
}
void Lane::demand(const v1::Demand& demand) {
  home_.hub.ledger().set_demand(*router_, demand, home_.clock.now());
}
AttemptId Lane::new_attempt() {
  return home_.hub.new_attempt();
}
bool Lane::submit(Request request) {
  return home_.hub.submit(std::move(request), shared_from_this());
}
void Lane::cancel(AttemptId attempt, std::span<const int32_t> choices) {
  home_.hub.cancel(attempt, choices);
}
void Lane::credit(AttemptId attempt, int32_t send_until) {
  home_.hub.credit(attempt, send_until);
}
std::optional<Orphan> Lane::adopt(const std::string& request_id, uint32_t epoch) {
  return home_.orphans->give(request_id, epoch, shared_from_this());
}
void Lane::abandon(AttemptId attempt) {
  home_.hub.cancel(attempt, {});
  home_.hub.reroute(attempt, nullptr);
}
GrantShare Lane::grant_share() const {
  if (home_.hub.draining()) return {};
  return share_of_lane(home_.hub.stats(), home_.share_of(router_.value_or(0)), home_.limits.grant);
}
EngineStats Lane::stats() const {
  return home_.hub.stats();
}
bool Lane::draining() const {
  return home_.hub.draining();
}

}  // namespace

std::unique_ptr<SessionService> make_session_service(const WorkerFacts& facts,
                                                     const SessionLimits& limits, size_t max_lanes,
                                                     Hub& hub, const Clock& clock) {
  return std::make_unique<LaneSet>(facts, limits, max_lanes, hub, clock);
}

}  // namespace bessemer
