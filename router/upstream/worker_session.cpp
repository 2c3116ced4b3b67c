#include "router/upstream/worker_session.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "bessemer/v1/engine.grpc.pb.h"
#include "router/upstream/grpc_credentials.h"
#include "router/upstream/lane.h"
#include "router/upstream/state_client.h"

namespace bessemer {
namespace {

// A StepBatch merges up to 4 MiB in the worker while its write is pending; twice that leaves room
// for one more step.
constexpr int kMaxReceiveBytes = 8 * 1024 * 1024;

TimePoint now_steady() {
  return std::chrono::steady_clock::now();
}

// What a wire tells its session besides frames.
class WireObserver {
 public:
  virtual ~WireObserver() = default;
  virtual void lane_up(size_t lane, const v1::Hello& hello) = 0;
  virtual void frame_seen(const v1::WorkerFrame& frame) = 0;
  virtual void lane_done(size_t lane, const grpc::Status& status) = 0;
};

// Nobody listens there: the process that did is gone. What gRPC says of it is the text of the
// system's error; where it is not recognised, orphans wait for as long as a worker keeps them.
bool is_refused(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE &&
         status.error_message().find("onnection refused") != std::string::npos;
}

// Why a call has ended, for people. What a worker's server had open when it stopped is CANCELLED.
std::string reason_of(const grpc::Status& status) {
  if (status.ok() || status.error_code() == grpc::StatusCode::CANCELLED)
    return "it closed the connection";
  return status.error_message();
}

// One Engine.Session call. gRPC calls its methods one at a time per kind; it lives until OnDone,
// and a hold keeps OnDone away until the lane has promised not to write any more.
class GrpcWire final : public Wire,
                       public grpc::ClientBidiReactor<v1::RouterFrame, v1::WorkerFrame>,
                       public std::enable_shared_from_this<GrpcWire> {
 public:
  GrpcWire(size_t index, Lane& lane, WireObserver& observer, CallCount& calls)
      : counted_(calls), index_(index), lane_(lane), observer_(observer) {}

  void begin(v1::Engine::Stub& stub) {
    self_ = shared_from_this();
    stub.async()->Session(&context_, this);
    AddHold();
  }
  void go() {
    read_next();
    StartCall();
  }

  void write(const v1::RouterFrame& frame) override { StartWrite(&frame); }
  void close() override { context_.TryCancel(); }
  void release() override { RemoveHold(); }

  void OnReadDone(bool ok) override {
    if (!ok) return lane_.lost("the connection to the worker was lost", now_steady());
    const auto frame = std::move(frame_);
    const auto hello = lane_.received(frame, now_steady());
    if (hello.ok()) {
      if (hello->has_value()) observer_.lane_up(index_, **hello);
      observer_.frame_seen(*frame);
    }
    read_next();  // after an error too: only a read that fails ends the call
  }
  void OnWriteDone(bool ok) override { lane_.written(ok); }
  void OnDone(const grpc::Status& status) override {
    observer_.lane_done(index_, status);
    const auto self = std::move(self_);  // destroyed here, unless the lane still has it
  }

 private:
  void read_next() {
    frame_ = std::make_shared<v1::WorkerFrame>();
    StartRead(frame_.get());
  }

  const CallCount::Hold counted_;  // first
  const size_t index_;
  Lane& lane_;
  WireObserver& observer_;
  grpc::ClientContext context_;
  std::shared_ptr<v1::WorkerFrame> frame_;
  std::shared_ptr<GrpcWire> self_;
};

std::shared_ptr<grpc::Channel> make_channel(const WorkerSessionOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
                   1);  // else equal channels share one connection
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
                   static_cast<int>(microseconds(options.retry_most) / 1000));
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES,
                   0);  // a lane is not idempotent; placing again is the router's decision
  arguments.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  const auto credentials = options.credentials != nullptr ? options.credentials->channel
                                                          : grpc::InsecureChannelCredentials();
  return grpc::CreateCustomChannel(options.address, credentials, arguments);
}

class GrpcSession final : public WorkerSession, public WireObserver {
 public:
  GrpcSession(const WorkerSessionOptions& options, SessionObserver& observer);
  ~GrpcSession() override;

  Status start(AttemptKey key, v1::Start start) override;
  void cancel(AttemptKey key, const std::vector<uint32_t>& choices) override;
  void credit(AttemptKey key, uint32_t send_until) override;
  void tick(TimePoint now) override;
  void abandon(LossCause cause, const std::string& reason) override;
  void fetch_card() override { state_->fetch_card(); }
  void fetch_vocabulary(const std::string& hash) override { state_->fetch_vocabulary(hash); }
  void watch_load() override { state_->watch_load(); }
  void watch_tenants() override { state_->watch_tenants(); }
  void demand(const v1::Demand& demand) override;
  void watch_kv(uint64_t stream, const v1::WatchKvRequest& request) override {
    state_->watch_kv(stream, request);
  }

 private:
  struct Slot {
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<v1::Engine::Stub> stub;
    std::unique_ptr<Lane> lane;
    TimePoint retry_at{};
    Duration backoff{};
    std::atomic<bool> calling{false};  // from the call's start to its OnDone
    std::atomic<bool> was_up{false};   // since the last attempt to connect
  };

  void connect(size_t index, TimePoint now);
  Lane* lane_for(uint32_t core) const;
  void tell_room();
  LaneOptions lane_options(size_t index) const;
  void lane_up(size_t lane, const v1::Hello& hello) override;
  void frame_seen(const v1::WorkerFrame& frame) override;
  void lane_done(size_t lane, const grpc::Status& status) override;

  const WorkerSessionOptions options_;
  SessionObserver& observer_;
  CallCount calls_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::unique_ptr<StateClient> state_;
  std::mutex room_mutex_;  // words of room are told in order
  bool has_room_ = false;
};

GrpcSession::GrpcSession(const WorkerSessionOptions& options, SessionObserver& observer)
    : options_(options), observer_(observer) {
  for (size_t i = 0; i < options.lanes; i++) {
    auto slot = std::make_unique<Slot>();
    slot->channel = make_channel(options);
    slot->stub = v1::Engine::NewStub(slot->channel);
    slot->lane = std::make_unique<Lane>(
        [&observer](std::vector<CoreBatch>& batches) { observer.deliver(batches); },
        [this] { tell_room(); });
    slots_.push_back(std::move(slot));
  }
  state_ = std::make_unique<StateClient>(slots_.front()->channel, options_, observer_, calls_);
}

GrpcSession::~GrpcSession() {
  state_->cancel_all();
  for (const auto& slot : slots_) slot->lane->shut();
  calls_.wait_for_none();
}

Status GrpcSession::start(AttemptKey key, v1::Start start) {
  Lane* const lane = lane_for(key.core);
  if (lane != nullptr) return lane->start(key, std::move(start));
  return absl::UnavailableError("worker " + options_.address + " is not connected");
}

// Null: none is up.
Lane* GrpcSession::lane_for(uint32_t core) const {
  Lane* ready = nullptr;
  for (size_t i = 0; i < slots_.size(); i++) {
    Lane& lane = *slots_[(core + i) % slots_.size()]->lane;
    if (!lane.ready()) continue;
    if (lane.may_bring()) return &lane;
    if (ready == nullptr) ready = &lane;
  }
  return ready;
}

void GrpcSession::tell_room() {
  std::lock_guard lock(room_mutex_);
  const bool any =
      std::ranges::any_of(slots_, [](const auto& slot) { return slot->lane->may_bring(); });
  if (std::exchange(has_room_, any) != any) observer_.on_room(any);
}

void GrpcSession::demand(const v1::Demand& demand) {
  for (const auto& slot : slots_) {
    if (slot->lane->ready()) return slot->lane->demand(demand);
  }
}

// The attempt may have gone to another lane than its core's own; a lane that does not know it does
// nothing.
void GrpcSession::cancel(AttemptKey key, const std::vector<uint32_t>& choices) {
  for (const auto& slot : slots_) slot->lane->cancel(key, choices);
}

void GrpcSession::credit(AttemptKey key, uint32_t send_until) {
  for (const auto& slot : slots_) slot->lane->credit(key, send_until);
}

void GrpcSession::abandon(LossCause cause, const std::string& reason) {
  for (const auto& slot : slots_) slot->lane->abandon(cause, reason);
}

void GrpcSession::tick(TimePoint now) {
  for (size_t i = 0; i < slots_.size(); i++) {
    Slot& slot = *slots_[i];
    slot.lane->tick(now);
    if (!slot.calling.load(std::memory_order_acquire) && now >= slot.retry_at) connect(i, now);
  }
}

void GrpcSession::connect(size_t index, TimePoint now) {
  Slot& slot = *slots_[index];
  const bool worked = slot.was_up.exchange(false);
  // Growing by a quarter, the wait behind a worker's start is at most a quarter of what it took.
  slot.backoff = worked
                     ? options_.retry_first
                     : std::clamp(slot.backoff * 5 / 4, options_.retry_first, options_.retry_most);
  slot.retry_at = now + slot.backoff;
  grpc::experimental::ChannelResetConnectionBackoff(slot.channel.get());  // the pace is ours
  slot.calling.store(true, std::memory_order_release);
  auto wire = std::make_shared<GrpcWire>(index, *slot.lane, *this, calls_);
  wire->begin(*slot.stub);
  slot.lane->open(wire, lane_options(index),
                  now);  // before go(): no frame may come to a lane that is not open
  wire->go();
}

LaneOptions GrpcSession::lane_options(size_t index) const {
  LaneOptions lane;
  lane.node = options_.node;
  lane.version = options_.version;
  lane.incarnation = options_.incarnation;
  lane.lane = static_cast<uint32_t>(index);
  lane.lanes = static_cast<uint32_t>(slots_.size());
  return lane;
}

void GrpcSession::lane_up(size_t lane, const v1::Hello& hello) {
  slots_[lane]->was_up = true;
  observer_.on_lane_up(lane, hello);
}

void GrpcSession::frame_seen(const v1::WorkerFrame& frame) {
  if (frame.has_drain()) observer_.on_draining();
  for (const auto& load : frame.step().load()) observer_.on_load(load);
  if (frame.has_ping())
    observer_.on_progress(frame.ping().engine_steps(), frame.ping().work_pending());
}

void GrpcSession::lane_done(size_t lane, const grpc::Status& status) {
  if (is_refused(status))
    slots_[lane]->lane->abandon_orphans(LossCause::crash, "the worker's process is gone");
  const std::string own = slots_[lane]->lane->close_reason();
  observer_.on_lane_down(lane, own.empty() ? reason_of(status) : own);
  // Last: from here on tick() may connect again, and the new call's up must not overtake this down.
  slots_[lane]->calling.store(false, std::memory_order_release);
}

}  // namespace

std::unique_ptr<WorkerSession> WorkerSession::create(const WorkerSessionOptions& options,
                                                     SessionObserver& observer) {
  return std::make_unique<GrpcSession>(options, observer);
}

}  // namespace bessemer
