#include "router/upstream/fleet.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <list>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>

#include "common/block_hash.h"
#include "common/log.h"
#include "common/mailbox.h"
#include "common/random.h"
#include "proto/features.h"
#include "router/cluster/step_slope.h"
#include "router/cluster/stuck_detector.h"
#include "router/cluster/vocabulary_cache.h"
#include "router/cluster/worker_news.h"
#include "router/cluster/worker_source.h"
#include "router/upstream/kv_follower.h"

namespace bessemer {
namespace {

// Pings are due each second and reconnects within one; five looks a second keep both prompt.
constexpr auto kTick = std::chrono::milliseconds(200);
constexpr auto kTickWhileDown = std::chrono::milliseconds(10);
// A worker forgets what was not said for two seconds.
constexpr auto kDemandInterval = std::chrono::milliseconds(200);
// Facts are a few per worker and connection: this is room for all of kMaxWorkers coming back at
// once.
constexpr size_t kMaxFacts = 16 * 1024;

struct LaneUp {
  size_t lane;
  v1::Hello hello;
};
struct LaneDown {
  size_t lane;
  std::string reason;
};
struct Draining {};
struct Stuck {
  bool hangs;
};
struct CardCame {
  StatusOr<v1::ModelCard> card;
};
struct VocabularyCame {
  std::string hash;
  StatusOr<std::string> bytes;
};
struct WatchEnded {};
struct MembersChanged {
  std::vector<Member> members;
};
// Whose session said it: ids are given again, serials are not (F2). Serial 0: no session's.
struct Speaker {
  uint32_t worker = 0;
  uint64_t serial = 0;
};
struct Fact {
  Speaker speaker;  // nobody's where no session says it
  std::variant<LaneUp, LaneDown, Draining, Stuck, CardCame, VocabularyCame, WatchEnded, KvWanted,
               MembersChanged>
      what;
};

// Of reports, at most this many a second from all workers: some percent of a core. A worker sends
// up to five for each interval asked for, when its load changes much (worker/service/load.h).
constexpr size_t kMostReportsPerSecond = 5000;
constexpr uint32_t kLoadIntervalMs = 100;

uint32_t load_interval_ms(size_t workers) {
  return std::max(kLoadIntervalMs,
                  static_cast<uint32_t>(workers * 5 * 1000 / kMostReportsPerSecond));
}

// Turns what one session says into facts for the fleet's thread; load goes straight to its slot.
class Listener final : public SessionObserver {
 public:
  Listener(Speaker speaker, Mailbox<Fact>& facts, const FleetHooks& hooks, KvFollower& follower,
           std::shared_ptr<LoadSlot> load, Duration stuck_after)
      : speaker_(speaker),
        facts_(facts),
        hooks_(hooks),
        follower_(follower),
        load_(std::move(load)),
        detector_(stuck_after) {}

  void on_lane_up(size_t lane, const v1::Hello& hello) override;
  void on_lane_down(size_t lane, const std::string& reason) override {
    send(LaneDown{lane, reason});
  }
  void on_draining() override { send(Draining{}); }
  void on_card(StatusOr<v1::ModelCard> card) override { send(CardCame{std::move(card)}); }
  void on_vocabulary(const std::string& hash, StatusOr<std::string> bytes) override {
    send(VocabularyCame{hash, std::move(bytes)});
  }
  void on_report_end(const std::string&) override { send(WatchEnded{}); }
  void on_kv_update(uint64_t stream, KvDelivery& delivery) override {
    follower_.update(speaker_.worker, stream, delivery);
  }
  void on_kv_end(uint64_t stream, const Status& why) override {
    follower_.ended(speaker_.worker, stream, why);
  }
  void deliver(std::vector<CoreBatch>& batches) override { hooks_.deliver(batches); }

  void on_report(const v1::LoadReport& report) override {
    LoadReading reading = load_->reading.load();
    if (report.pools_size() > 0) {
      read_load(report.pools(0), reading);
      slope_.observe(report.pools(0).decode_rows(), report.pools(0).decode_us() * 1e-6);
      reading.step_slope_s = static_cast<float>(slope_.seconds());
    }
    reading.tokens_generated = report.tokens_generated();
    reading.tokens_prefilled = report.tokens_prefilled();
    reading.requests_finished = report.requests_finished();
    reading.resident_bytes = report.resident_bytes();
    reading.own_then = load_->own.load(std::memory_order_relaxed);
    store(reading);
    if (report.draining()) send(Draining{});
    if (report.pools_size() > 0)
      on_progress(report.pools(0).engine_steps(), report.pools(0).work_pending());
  }
  void on_load(const v1::Load& load) override {
    LoadReading reading = load_->reading.load();
    read_load(load, reading);
    reading.own_then = load_->own.load(std::memory_order_relaxed);
    store(reading);
    on_progress(load.engine_steps(), load.work_pending());
  }
  void on_progress(uint64_t engine_steps, bool work_pending) override;
  void on_tenants(const v1::TenantReport& report) override {
    hooks_.tenants(speaker_.worker, report);
  }
  void on_tenants_end() override { watches_tenants = false; }
  void on_room(bool has_room) override {
    load_->has_room.store(has_room, std::memory_order_relaxed);
    if (has_room) hooks_.room();
  }

  std::atomic<bool> watches_tenants{false};  // set by the fleet's thread

 private:
  void store(const LoadReading& reading) {
    load_->reading.store(reading);
    load_->said_backlog.store(static_cast<int64_t>(reading.backlog_tokens),
                              std::memory_order_relaxed);
  }
  void send(decltype(Fact::what) what) {
    if (!facts_.push_reserved({speaker_, std::move(what)}))
      log().debug("worker {}: a fact came too late", speaker_.worker);
  }
  const Speaker speaker_;
  Mailbox<Fact>& facts_;
  const FleetHooks& hooks_;
  KvFollower& follower_;
  const std::shared_ptr<LoadSlot> load_;
  StepSlope slope_;   // of reports, which come one after the other
  std::mutex mutex_;  // words come on any of gRPC's threads
  StuckDetector detector_;
  uint64_t incarnation_ = 0;
};

void Listener::on_lane_up(size_t lane, const v1::Hello& hello) {
  bool hangs = false;
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(incarnation_, hello.incarnation()) != hello.incarnation()) detector_.reset();
    hangs = detector_.stuck();
  }
  send(LaneUp{lane, hello});
  if (hangs) send(Stuck{true});  // forgotten with its last lane
}

void Listener::on_progress(uint64_t engine_steps, bool work_pending) {
  const LoadReading load = load_->reading.load();
  const StuckDetector::Word word{engine_steps, work_pending, load.step_us, load.backlog_tokens,
                                 load.prefill_tok_s};
  std::lock_guard lock(mutex_);
  // Under the lock, so that verdicts arrive in their order.
  if (detector_.hear(word, std::chrono::steady_clock::now())) send(Stuck{detector_.stuck()});
}
using SessionPtr = std::shared_ptr<WorkerSession>;

// A worker's session, kept by the fleet's thread until nobody else is inside it.
struct Resident {
  uint64_t serial = 0;
  std::string address;
  std::unique_ptr<Listener> listener;  // outlives the session
  SessionPtr session;
};

class FleetImpl final : public Fleet {
 public:
  FleetImpl(const FleetOptions& options, FleetHooks hooks);
  ~FleetImpl() override;

  Status start(uint32_t worker, AttemptKey key, v1::Start start) override {
    const SessionPtr session = session_of(worker);
    if (session == nullptr) return absl::UnavailableError("the worker has departed");
    return session->start(key, std::move(start));
  }
  void cancel(uint32_t worker, AttemptKey key, const std::vector<uint32_t>& choices) override {
    if (const SessionPtr session = session_of(worker)) session->cancel(key, choices);
  }
  void credit(uint32_t worker, AttemptKey key, uint32_t send_until) override {
    if (const SessionPtr session = session_of(worker)) session->credit(key, send_until);
  }
  void set_members(std::vector<Member> members) override {
    if (!facts_.push_reserved({{}, MembersChanged{std::move(members)}}))
      log().debug("a change of members came too late");
  }
  PledgeBook& pledges() override { return *follower_; }
  KvCounts kv_counts() const override { return follower_->counts(); }

 private:
  SessionPtr session_of(uint32_t worker) const {
    return worker < kMaxWorkers ? open_[worker].load(std::memory_order_acquire) : nullptr;
  }
  void run();
  void move_members();
  void open(uint32_t worker, size_t workers);
  void end(uint32_t worker);
  void learn(Fact& fact);
  void learn(uint32_t worker, LaneUp& fact);
  void learn(uint32_t worker, LaneDown& fact);
  void learn(uint32_t worker, Draining&) { registry_.draining(worker); }
  void learn(uint32_t worker, Stuck& fact);
  void learn(uint32_t worker, CardCame& fact) {
    grant(registry_.card(worker, std::move(fact.card), now()));
  }
  void learn(uint32_t worker, VocabularyCame& fact);
  void learn(uint32_t, KvWanted& fact);
  void learn(uint32_t worker, WatchEnded&) { registry_.load_watch_ended(worker, now()); }
  void learn(uint32_t, MembersChanged& fact) { registry_.set_members(fact.members); }
  void grant(const std::vector<Wish>& wishes);
  void want_text(const Wish& wish);
  StatusOr<ModelTextPtr> make_text(const std::string& hash, const std::string& bytes) const;
  void tend_tenants();
  void publish();
  void tell_news();
  static TimePoint now() { return std::chrono::steady_clock::now(); }

  const FleetOptions options_;
  const FleetHooks hooks_;
  Registry registry_;
  ClusterViewPtr view_;  // the last that was published
  WorkerNews news_;
  VocabularyCache cache_;
  Mailbox<Fact> facts_{kMaxFacts, kMaxFacts};
  std::unique_ptr<KvFollower> follower_;    // outlives the sessions
  std::map<uint32_t, Resident> residents_;  // by id
  std::list<Resident> ending_;              // departed; another thread may still be inside
  std::array<std::atomic<SessionPtr>, kMaxWorkers> open_;  // those of residents_, for others
  const uint64_t incarnation_ = random_seed();
  uint64_t last_serial_ = 0;
  bool any_down_ = true;
  TimePoint next_demand_{};
  bool demanded_ = false;  // the last Demand said that something waits
  std::thread thread_;
};

FleetImpl::FleetImpl(const FleetOptions& options, FleetHooks hooks)
    : options_(options), hooks_(std::move(hooks)), cache_(options.cache_folder) {
  follower_ =
      KvFollower::create(*options.kv_index, *options.kv_pledged,
                         [this](const KvWanted& wanted) { facts_.push_reserved({{}, wanted}); });
  registry_.set_members(options.members);
  move_members();
  publish();
  thread_ = std::thread([this] { run(); });
}

FleetImpl::~FleetImpl() {
  facts_.close();
  thread_.join();
  for (auto& session : open_) session.store(nullptr);
  residents_.clear();
  ending_.clear();
}

void FleetImpl::run() {
  std::vector<Fact> facts;
  for (auto& [id, resident] : residents_) resident.session->tick(now());
  while (facts_.wait_drain_until(facts, now() + (any_down_ ? kTickWhileDown : kTick))) {
    for (auto& fact : facts) learn(fact);
    move_members();
    grant(registry_.retries(now()));
    for (auto& [id, resident] : residents_) resident.session->tick(now());
    tend_tenants();
    if (registry_.take_changed()) publish();
    if (news_.due(now())) tell_news();
  }
}

// What waits here is said while something does, and once when nothing does any more. Rooms may open
// without a word, where a worker has none for it: so those who wait are asked at least this often.
void FleetImpl::tend_tenants() {
  if (now() < next_demand_) return;
  next_demand_ = now() + kDemandInterval;
  hooks_.room();
  const v1::Demand demand = hooks_.demand();
  const bool waits = demand.tenant_size() > 0;
  const bool is_news = std::exchange(demanded_, waits) || waits;
  for (auto& [id, resident] : residents_) {
    const WorkerView& worker = *registry_.worker(id);
    if ((worker.features & feature_bit(Feature::tenants)) == 0) continue;
    if (is_news) resident.session->demand(demand);
    if (worker.state == WorkerState::ready && !resident.listener->watches_tenants.exchange(true))
      resident.session->watch_tenants();
  }
}

void FleetImpl::move_members() {
  const Registry::Moves moves = registry_.reconcile(now());
  for (const uint32_t worker : moves.departed) end(worker);
  const size_t workers = residents_.size() + moves.joined.size();
  for (const uint32_t worker : moves.joined) open(worker, workers);
  ending_.remove_if([](const Resident& resident) { return resident.session.use_count() == 1; });
}

// `workers`: how many there are now; those that were opened when there were fewer report more often
// than the bound would have it until their watch begins anew.
void FleetImpl::open(uint32_t worker, size_t workers) {
  const WorkerView& view = *registry_.worker(worker);
  WorkerSessionOptions session;
  session.load_interval_ms = load_interval_ms(workers);
  session.address = view.address;
  session.node = options_.node;
  session.version = options_.version;
  session.incarnation = incarnation_;
  session.lanes = options_.lanes;
  session.credentials = options_.credentials;
  Resident resident{++last_serial_, view.address, nullptr, nullptr};
  resident.listener = std::make_unique<Listener>(Speaker{worker, resident.serial}, facts_, hooks_,
                                                 *follower_, view.load, options_.stuck_after);
  resident.session = WorkerSession::create(session, *resident.listener);
  open_[worker].store(resident.session, std::memory_order_release);
  residents_.emplace(worker, std::move(resident));
}

void FleetImpl::end(uint32_t worker) {
  open_[worker].store(nullptr, std::memory_order_release);
  follower_->expect(worker, 0);
  hooks_.departed(worker);
  auto resident = residents_.extract(worker);
  log().info("worker {} is left: it is not listed any more", resident.mapped().address);
  ending_.push_back(std::move(resident.mapped()));
}

void FleetImpl::publish() {
  registry_.take_changed();
  view_ = registry_.view();
  any_down_ = std::ranges::any_of(
      view_->workers, [](const WorkerView& worker) { return worker.state == WorkerState::down; });
  tell_news();
  hooks_.publish(view_);
}

void FleetImpl::tell_news() {
  for (const auto& line : news_.look(*view_, now()))
    line.warning ? log().warn("{}", line.text) : log().info("{}", line.text);
}

void FleetImpl::learn(Fact& fact) {
  const uint64_t serial = fact.speaker.serial;
  const auto resident = residents_.find(fact.speaker.worker);
  const bool current = resident != residents_.end() && resident->second.serial == serial;
  if (serial != 0 && !current) return;  // F2
  std::visit([&](auto& what) { learn(fact.speaker.worker, what); }, fact.what);
}

void FleetImpl::learn(uint32_t worker, LaneUp& fact) {
  log().debug("worker {}: lane {} is up, incarnation {:016x}", residents_.at(worker).address,
              fact.lane, fact.hello.incarnation());
  grant(registry_.lane_up(worker, fact.lane, fact.hello));
  follower_->expect(worker, registry_.incarnation(worker));
}

void FleetImpl::learn(uint32_t worker, LaneDown& fact) {
  log().debug("worker {}: lane {} ended: {}", residents_.at(worker).address, fact.lane,
              fact.reason);
  registry_.lane_down(worker, fact.lane, fact.reason);
  follower_->expect(worker, registry_.incarnation(worker));
}

void FleetImpl::learn(uint32_t, KvWanted& fact) {
  if (registry_.incarnation(fact.worker) != fact.incarnation) return;  // another will be wanted
  residents_.at(fact.worker).session->watch_kv(fact.stream, fact.request);
}

// The view first, or what the worker loses would be placed on it again.
void FleetImpl::learn(uint32_t worker, Stuck& fact) {
  registry_.stuck(worker, fact.hangs);
  publish();
  if (fact.hangs)
    residents_.at(worker).session->abandon(LossCause::stuck,
                                           "the worker has work and takes no step");
}

void FleetImpl::learn(uint32_t worker, VocabularyCame& fact) {
  if (!fact.bytes.ok()) return registry_.text(worker, fact.hash, fact.bytes.status(), now());
  auto text = make_text(fact.hash, *fact.bytes);
  if (text.ok()) {
    const Status stored = cache_.store(fact.hash, *fact.bytes);
    if (!stored.ok()) log().warn("the vocabulary is not kept: {}", std::string(stored.message()));
  }
  registry_.text(worker, fact.hash, std::move(text), now());
}

void FleetImpl::grant(const std::vector<Wish>& wishes) {
  for (const auto& wish : wishes) {
    WorkerSession& session = *residents_.at(wish.worker).session;
    switch (wish.kind) {
      case Wish::Kind::card:
        session.fetch_card();
        break;
      case Wish::Kind::load:
        session.watch_load();
        break;
      case Wish::Kind::text:
        want_text(wish);
        break;
    }
  }
}

void FleetImpl::want_text(const Wish& wish) {
  const auto kept = cache_.load(wish.tokenizer_hash);
  if (!kept) return residents_.at(wish.worker).session->fetch_vocabulary(wish.tokenizer_hash);
  registry_.text(wish.worker, wish.tokenizer_hash, make_text(wish.tokenizer_hash, *kept), now());
}

StatusOr<ModelTextPtr> FleetImpl::make_text(const std::string& hash,
                                            const std::string& bytes) const {
  if (content_hash_hex(bytes) != hash) {
    return absl::DataLossError("the vocabulary does not have the hash that its model card names");
  }
  v1::Vocabulary vocabulary;
  if (!vocabulary.ParseFromString(bytes))
    return absl::DataLossError("the vocabulary is no Vocabulary message");
  return hooks_.make_text(vocabulary);
}

}  // namespace

std::unique_ptr<Fleet> Fleet::create(const FleetOptions& options, FleetHooks hooks) {
  return std::make_unique<FleetImpl>(options, std::move(hooks));
}

}  // namespace bessemer
