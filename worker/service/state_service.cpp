#include "worker/service/state_service.h"

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <unistd.h>

#include "bessemer/v1/cluster.grpc.pb.h"
#include "worker/service/load.h"

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

class Watch final : public grpc::ServerWriteReactor<v1::LoadReport>,
                    public std::enable_shared_from_this<Watch> {
 public:
  Watch(StateSet& home, uint32_t interval_ms) : home_(home), watch_(interval_ms) {}
  void on_tick(const EngineStats& stats, TimePoint now);
  void close();

 private:
  void OnWriteDone(bool ok) override;
  void OnCancel() override { close(); }
  void OnDone() override;

  StateSet& home_;
  std::mutex mutex_;
  LoadWatch watch_;
  v1::LoadReport report_;
  bool writing_ = false, closing_ = false, finished_ = false;
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

template <typename Message>
class RefusedStream final : public grpc::ServerWriteReactor<Message> {
 public:
  explicit RefusedStream(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }
};

class StateSet final : public StateService, public v1::State::CallbackService {
 public:
  StateSet(const WorkerFacts& f, size_t max_watches, Hub& h, const Clock& c)
      : facts(f), hub(h), clock(c), max_watches_(max_watches) {}
  ~StateSet() override {
    std::unique_lock lock(mutex_);
    none_left_.wait(lock, [&] { return watches_.empty(); });
  }

  grpc::ServerUnaryReactor* GetModelCard(grpc::CallbackServerContext* context,
                                         const v1::GetModelCardRequest* request,
                                         v1::ModelCard* card) override;
  grpc::ServerWriteReactor<v1::TokenizerChunk>* GetTokenizer(
      grpc::CallbackServerContext* context, const v1::GetTokenizerRequest* request) override;
  grpc::ServerWriteReactor<v1::LoadReport>* WatchLoad(grpc::CallbackServerContext* context,
                                                      const v1::WatchLoadRequest* request) override;

  grpc::Service* service() override { return this; }
  void on_tick(TimePoint now) override;
  void close() override;
  void remove(const std::shared_ptr<Watch>& watch) {
    std::lock_guard lock(mutex_);
    watches_.erase(watch);
    if (watches_.empty()) none_left_.notify_all();
  }

  const WorkerFacts& facts;
  Hub& hub;
  const Clock& clock;

 private:
  std::vector<std::shared_ptr<Watch>> snapshot() const {
    std::lock_guard lock(mutex_);
    return {watches_.begin(), watches_.end()};
  }

  const size_t max_watches_;
  mutable std::mutex mutex_;
  std::condition_variable none_left_;
  std::set<std::shared_ptr<Watch>> watches_;
  bool closed_ = false;
};

grpc::ServerUnaryReactor* StateSet::GetModelCard(grpc::CallbackServerContext* context,
                                                 const v1::GetModelCardRequest* request,
                                                 v1::ModelCard* card) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (request->pool() != 0) {
    reactor->Finish({grpc::StatusCode::NOT_FOUND,
                     "no pool " + std::to_string(request->pool()) + ": this worker has pool 0"});
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

grpc::ServerWriteReactor<v1::LoadReport>* StateSet::WatchLoad(grpc::CallbackServerContext*,
                                                              const v1::WatchLoadRequest* request) {
  std::shared_ptr<Watch> watch;
  {
    std::lock_guard lock(mutex_);
    if (closed_)
      return new RefusedStream<v1::LoadReport>(
          {grpc::StatusCode::UNAVAILABLE, "this worker is shutting down"});
    if (watches_.size() >= max_watches_) {
      return new RefusedStream<v1::LoadReport>({grpc::StatusCode::RESOURCE_EXHAUSTED,
                                                "this worker has " +
                                                    std::to_string(watches_.size()) +
                                                    " load watches open, its limit (max_watches)"});
    }
    watch = std::make_shared<Watch>(*this, request->interval_ms());
    watches_.insert(watch);
  }
  watch->on_tick(hub.stats(), clock.now());
  return watch.get();
}

void StateSet::on_tick(TimePoint now) {
  const auto watches = snapshot();
  if (watches.empty()) return;
  const EngineStats stats = hub.stats();
  for (const auto& watch : watches) watch->on_tick(stats, now);
}

void StateSet::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  for (const auto& watch : snapshot()) watch->close();
}

void Watch::on_tick(const EngineStats& stats, TimePoint now) {
  std::lock_guard lock(mutex_);
  if (writing_ || closing_ || !watch_.due(stats, now)) return;
  report_.Clear();
  report_.set_incarnation(home_.facts.incarnation);
  *report_.add_pools() = watch_.say(stats, now);
  report_.set_draining(home_.hub.draining());
  report_.set_tokens_generated(stats.tokens_generated);
  report_.set_tokens_prefilled(stats.tokens_prefilled);
  report_.set_requests_finished(stats.requests_finished);
  report_.set_resident_bytes(resident_bytes());
  writing_ = true;
  StartWrite(&report_);
}

void Watch::close() {
  std::lock_guard lock(mutex_);
  closing_ = true;
  if (writing_ || finished_) return;
  finished_ = true;
  Finish(grpc::Status::OK);
}

void Watch::OnWriteDone(bool ok) {
  std::lock_guard lock(mutex_);
  writing_ = false;
  if (finished_ || (ok && !closing_)) return;
  closing_ = finished_ = true;
  Finish(grpc::Status::OK);
}

void Watch::OnDone() {
  home_.remove(shared_from_this());
}

}  // namespace

std::unique_ptr<StateService> make_state_service(const WorkerFacts& facts, size_t max_watches,
                                                 Hub& hub, const Clock& clock) {
  return std::make_unique<StateSet>(facts, max_watches, hub, clock);
}

}  // namespace bessemer
