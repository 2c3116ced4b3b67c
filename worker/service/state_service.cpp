#include "worker/service/state_service.h"

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include <unistd.h>

#include "bessemer/v1/cluster.grpc.pb.h"
#include "worker/service/kv_watch.h"
#include "worker/service/load.h"
#include "worker/service/tenant_watch.h"
#include "worker/service/watch_stream.h"

namespace bessemer {
namespace {

// Half a frame: leaves room for the message around it, and lets other streams of the connection in
// between.
constexpr size_t kTokenizerChunkBytes = 128 << 10;

// Resident set of this process; 0 where the kernel does not say.
uint64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long long total = 0, resident = 0;
  const int fields = std::fscanf(file, "%llu %llu", &total, &resident);
  std::fclose(file);
  return fields == 2 ? resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

class StateSet;

class LoadStream final : public WatchStream<v1::LoadReport>,
                         public std::enable_shared_from_this<LoadStream> {
 public:
  LoadStream(StateSet& home, uint32_t interval_ms) : home_(home), watch_(interval_ms) {}
  void on_tick(const EngineStats& stats, TimePoint now);

 private:
  void fill(const EngineStats& stats, TimePoint now, v1::LoadReport& report);
  void OnDone() override;

  StateSet& home_;
  LoadWatch watch_;
};

// Changes wait for the next tick, so that they travel together; a snapshot, or more changes than
// one update holds, follow each other at the reader's speed.
class KvStream final : public WatchStream<v1::KvUpdate>,
                       public std::enable_shared_from_this<KvStream> {
 public:
  KvStream(StateSet& home, const v1::WatchKvRequest& request);
  void on_tick() {
    offer([this](v1::KvUpdate& update) { return watch_.next(update); });
  }

 private:
  bool follow_up(v1::KvUpdate& update) override {
    return watch_.is_behind() && watch_.next(update);
  }
  void OnDone() override;

  StateSet& home_;
  KvWatch watch_;
};

class TenantStream final : public WatchStream<v1::TenantReport>,
                           public std::enable_shared_from_this<TenantStream> {
 public:
  TenantStream(StateSet& home, uint32_t interval_ms);
  void on_tick(TimePoint now) {
    offer([&](v1::TenantReport& report) { return watch_.next(now, report); });
  }

 private:
  void OnDone() override;

  StateSet& home_;
  TenantWatch watch_;
};

// Sends `bytes` from beginning to end; nothing else is ever sent.
class TokenizerStream final : public grpc::ServerWriteReactor<v1::TokenizerChunk> {
 public:
  explicit TokenizerStream(const std::string& bytes) : bytes_(bytes) { next(); }

 private:
  void next() {
    const size_t count = std::min(kTokenizerChunkBytes, bytes_.size() - at_);
    chunk_.set_data(bytes_.substr(at_, count));
    at_ += count;
    chunk_.set_last(at_ == bytes_.size());
    StartWrite(&chunk_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok || chunk_.last()) return Finish(grpc::Status::OK);
    next();
  }
  void OnDone() override { delete this; }

  const std::string& bytes_;
  size_t at_ = 0;
  v1::TokenizerChunk chunk_;
};

class StateSet final : public StateService, public v1::State::CallbackService {
 public:
  StateSet(const WorkerFacts& f, size_t max_watches, Hub& h, const Clock& c)
      : facts(f), hub(h), clock(c), max_watches_(max_watches) {}
  ~StateSet() override {
    std::unique_lock lock(mutex_);
    none_left_.wait(lock, [&] { return watches() == 0; });
  }

  grpc::ServerUnaryReactor* GetModelCard(grpc::CallbackServerContext* context,
                                         const v1::GetModelCardRequest* request,
                                         v1::ModelCard* card) override;
  grpc::ServerWriteReactor<v1::TokenizerChunk>* GetTokenizer(
      grpc::CallbackServerContext* context, const v1::GetTokenizerRequest* request) override;
  grpc::ServerWriteReactor<v1::LoadReport>* WatchLoad(grpc::CallbackServerContext* context,
                                                      const v1::WatchLoadRequest* request) override;

  grpc::ServerWriteReactor<v1::KvUpdate>* WatchKv(grpc::CallbackServerContext* context,
                                                  const v1::WatchKvRequest* request) override;

  grpc::ServerWriteReactor<v1::TenantReport>* WatchTenants(
      grpc::CallbackServerContext* context, const v1::WatchTenantsRequest* request) override;

  grpc::Service* service() override { return this; }
  void on_step(TimePoint now) override;
  void on_tick(TimePoint now) override;
  void close() override;
  void remove(const std::shared_ptr<LoadStream>& watch) { remove_from(loads_, watch); }
  void remove(const std::shared_ptr<KvStream>& watch) { remove_from(kvs_, watch); }
  void remove(const std::shared_ptr<TenantStream>& watch) { remove_from(tenants_, watch); }

  const WorkerFacts& facts;
  Hub& hub;
  const Clock& clock;

 private:
  template <typename Stream>
  using Streams = std::set<std::shared_ptr<Stream>>;

  size_t watches() const { return loads_.size() + kvs_.size() + tenants_.size(); }
  // The new stream, or why there is none.
  template <typename Stream, typename Make>
  std::variant<std::shared_ptr<Stream>, grpc::Status> add_to(Streams<Stream>& streams, Make&& make);
  // The new stream, which `begin` has told what it says at once, or a refusal.
  template <typename Report, typename Stream, typename Make, typename Begin>
  grpc::ServerWriteReactor<Report>* watch(Streams<Stream>& streams, Make&& make, Begin&& begin);
  template <typename Stream>
  void remove_from(Streams<Stream>& streams, const std::shared_ptr<Stream>& stream) {
    std::lock_guard lock(mutex_);
    streams.erase(stream);
    if (watches() == 0) none_left_.notify_all();
  }
  template <typename Stream>
  std::vector<std::shared_ptr<Stream>> all_of(const Streams<Stream>& streams) const {
    std::lock_guard lock(mutex_);
    return {streams.begin(), streams.end()};
  }

  const size_t max_watches_;
  mutable std::mutex mutex_;
  std::condition_variable none_left_;
  Streams<LoadStream> loads_;
  Streams<KvStream> kvs_;
  Streams<TenantStream> tenants_;
  bool closed_ = false;
};

grpc::Status no_pool(uint32_t pool) {
  return {grpc::StatusCode::NOT_FOUND,
          "no pool " + std::to_string(pool) + ": this worker has pool 0"};
}

grpc::ServerUnaryReactor* StateSet::GetModelCard(grpc::CallbackServerContext* context,
                                                 const v1::GetModelCardRequest* request,
                                                 v1::ModelCard* card) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (request->pool() != 0) {
    reactor->Finish(no_pool(request->pool()));
    return reactor;
  }
  *card = facts.card;
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerWriteReactor<v1::TokenizerChunk>* StateSet::GetTokenizer(
    grpc::CallbackServerContext*, const v1::GetTokenizerRequest* request) {
  const std::string& asked = request->tokenizer_hash();
  if (!asked.empty() && asked != facts.card.tokenizer_hash()) {
    return new RefusedStream<v1::TokenizerChunk>(
        {grpc::StatusCode::NOT_FOUND,
         "no tokenizer " + asked + ": this worker has " + facts.card.tokenizer_hash()});
  }
  return new TokenizerStream(facts.vocabulary);
}

template <typename Stream, typename Make>
std::variant<std::shared_ptr<Stream>, grpc::Status> StateSet::add_to(Streams<Stream>& streams,
                                                                     Make&& make) {
  std::lock_guard lock(mutex_);
  if (closed_) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "this worker is shutting down");
  }
  if (watches() >= max_watches_) {
    return grpc::Status(
        grpc::StatusCode::RESOURCE_EXHAUSTED,
        "this worker has " + std::to_string(watches()) + " watches open, its limit (max_watches)");
  }
  return *streams.insert(make()).first;
}

template <typename Report, typename Stream, typename Make, typename Begin>
grpc::ServerWriteReactor<Report>* StateSet::watch(Streams<Stream>& streams, Make&& make,
                                                  Begin&& begin) {
  const auto added = add_to(streams, make);
  if (const auto* refusal = std::get_if<grpc::Status>(&added))
    return new RefusedStream<Report>(*refusal);
  const auto& stream = std::get<std::shared_ptr<Stream>>(added);
  begin(*stream);
  return stream.get();
}

grpc::ServerWriteReactor<v1::LoadReport>* StateSet::WatchLoad(grpc::CallbackServerContext*,
                                                              const v1::WatchLoadRequest* request) {
  return watch<v1::LoadReport>(
      loads_, [&] { return std::make_shared<LoadStream>(*this, request->interval_ms()); },
      [&](LoadStream& stream) { stream.on_tick(hub.stats(), clock.now()); });
}

grpc::ServerWriteReactor<v1::KvUpdate>* StateSet::WatchKv(grpc::CallbackServerContext*,
                                                          const v1::WatchKvRequest* request) {
  if (request->pool() != 0) return new RefusedStream<v1::KvUpdate>(no_pool(request->pool()));
  return watch<v1::KvUpdate>(
      kvs_, [&] { return std::make_shared<KvStream>(*this, *request); },
      [](KvStream& stream) { stream.on_tick(); });
}

grpc::ServerWriteReactor<v1::TenantReport>* StateSet::WatchTenants(
    grpc::CallbackServerContext*, const v1::WatchTenantsRequest* request) {
  if (request->pool() != 0) return new RefusedStream<v1::TenantReport>(no_pool(request->pool()));
  return watch<v1::TenantReport>(
      tenants_, [&] { return std::make_shared<TenantStream>(*this, request->interval_ms()); },
      [&](TenantStream& stream) { stream.on_tick(clock.now()); });
}

void StateSet::on_step(TimePoint now) {
  const auto streams = all_of(loads_);
  if (streams.empty()) return;
  const EngineStats stats = hub.stats();
  for (const auto& stream : streams) stream->on_tick(stats, now);
}

void StateSet::on_tick(TimePoint now) {
  on_step(now);
  for (const auto& stream : all_of(kvs_)) stream->on_tick();
  for (const auto& stream : all_of(tenants_)) stream->on_tick(now);
}

void StateSet::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  for (const auto& stream : all_of(loads_)) stream->close();
  for (const auto& stream : all_of(kvs_)) stream->close();
  for (const auto& stream : all_of(tenants_)) stream->close();
}

void LoadStream::on_tick(const EngineStats& stats, TimePoint now) {
  offer([&](v1::LoadReport& report) {
    if (!watch_.due(stats, now)) return false;
    fill(stats, now, report);
    return true;
  });
}

void LoadStream::fill(const EngineStats& stats, TimePoint now, v1::LoadReport& report) {
  report.Clear();
  report.set_incarnation(home_.facts.incarnation);
  *report.add_pools() = watch_.say(stats, now);
  report.set_draining(home_.hub.draining());
  report.set_tokens_generated(stats.tokens_generated);
  report.set_tokens_prefilled(stats.tokens_prefilled);
  report.set_requests_finished(stats.requests_finished);
  report.set_resident_bytes(resident_bytes());
  report.set_prefix_tokens_asked(stats.prefix_tokens_asked);
  report.set_prefix_tokens_found(stats.prefix_tokens_found);
}

void LoadStream::OnDone() {
  home_.remove(shared_from_this());
}

KvStream::KvStream(StateSet& home, const v1::WatchKvRequest& request)
    : home_(home), watch_(home.hub.kv_events(), home.facts.incarnation, request) {}

void KvStream::OnDone() {
  home_.remove(shared_from_this());
}

TenantStream::TenantStream(StateSet& home, uint32_t interval_ms)
    : home_(home), watch_(home.hub.ledger(), home.facts.incarnation, interval_ms) {}

void TenantStream::OnDone() {
  home_.remove(shared_from_this());
}

}  // namespace

std::unique_ptr<StateService> make_state_service(const WorkerFacts& facts, size_t max_watches,
                                                 Hub& hub, const Clock& clock) {
  return std::make_unique<StateSet>(facts, max_watches, hub, clock);
}

}  // namespace bessemer
