#include "bench/mock_worker/mock_state.h"

#include <algorithm>
#include <chrono>
#include <set>

#include <grpcpp/grpcpp.h>

#include "bessemer/v1/cluster.grpc.pb.h"
#include "router/upstream/call_count.h"
#include "worker/service/kv_watch.h"
#include "worker/service/load.h"
#include "worker/service/watch_stream.h"

namespace bessemer {
namespace {

constexpr size_t kChunkBytes = 128 << 10;

class StateStreams;

class MockLoadStream final : public WatchStream<v1::LoadReport>,
                             public std::enable_shared_from_this<MockLoadStream> {
 public:
  MockLoadStream(StateStreams& home, uint32_t interval_ms);
  void on_tick(const EngineStats& stats, TimePoint now);

 private:
  void OnDone() override;

  const CallCount::Hold counted_;  // first
  StateStreams& home_;
  LoadWatch watch_;
};

class MockKvStream final : public WatchStream<v1::KvUpdate>,
                           public std::enable_shared_from_this<MockKvStream> {
 public:
  MockKvStream(StateStreams& home, const v1::WatchKvRequest& request);
  void on_tick() {
    offer([this](v1::KvUpdate& update) { return watch_.next(update); });
  }

 private:
  bool follow_up(v1::KvUpdate& update) override {
    return watch_.is_behind() && watch_.next(update);
  }
  void OnDone() override;

  const CallCount::Hold counted_;  // first
  StateStreams& home_;
  KvWatch watch_;
};

class MockTokenizerStream final : public grpc::ServerWriteReactor<v1::TokenizerChunk> {
 public:
  MockTokenizerStream(const std::string& bytes, CallCount& calls) : counted_(calls), bytes_(bytes) {
    next();
  }

 private:
  void next() {
    const size_t count = std::min(kChunkBytes, bytes_.size() - at_);
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

  const CallCount::Hold counted_;  // first
  const std::string& bytes_;
  size_t at_ = 0;
  v1::TokenizerChunk chunk_;
};

class StateStreams final : public MockState, public v1::State::CallbackService {
 public:
  StateStreams(const MockFacts& f, MockEngine& e) : facts(f), engine(e) {}

  grpc::ServerUnaryReactor* GetModelCard(grpc::CallbackServerContext* context,
                                         const v1::GetModelCardRequest*,
                                         v1::ModelCard* card) override {
    *card = facts.card;
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerWriteReactor<v1::TokenizerChunk>* GetTokenizer(
      grpc::CallbackServerContext*, const v1::GetTokenizerRequest*) override {
    return new MockTokenizerStream(facts.vocabulary, calls);
  }
  grpc::ServerWriteReactor<v1::LoadReport>* WatchLoad(
      grpc::CallbackServerContext*, const v1::WatchLoadRequest* request) override {
    return add(loads_, std::make_shared<MockLoadStream>(*this, request->interval_ms()));
  }
  grpc::ServerWriteReactor<v1::KvUpdate>* WatchKv(grpc::CallbackServerContext*,
                                                  const v1::WatchKvRequest* request) override {
    return add(kvs_, std::make_shared<MockKvStream>(*this, *request));
  }

  grpc::Service* service() override { return this; }
  void on_tick(int64_t now_us) override;
  void wait_for_none() override { calls.wait_for_none(); }
  void remove(const std::shared_ptr<MockLoadStream>& stream) { drop(loads_, stream); }
  void remove(const std::shared_ptr<MockKvStream>& stream) { drop(kvs_, stream); }

  const MockFacts& facts;
  MockEngine& engine;
  CallCount calls;

 private:
  template <typename Stream>
  Stream* add(std::set<std::shared_ptr<Stream>>& streams, std::shared_ptr<Stream> stream) {
    std::lock_guard lock(mutex_);
    return streams.insert(std::move(stream)).first->get();
  }
  template <typename Stream>
  void drop(std::set<std::shared_ptr<Stream>>& streams, const std::shared_ptr<Stream>& stream) {
    std::lock_guard lock(mutex_);
    streams.erase(stream);
  }
  template <typename Stream>
  std::vector<std::shared_ptr<Stream>> all(const std::set<std::shared_ptr<Stream>>& streams) {
    std::lock_guard lock(mutex_);
    return {streams.begin(), streams.end()};
  }

  std::mutex mutex_;
  std::set<std::shared_ptr<MockLoadStream>> loads_;
  std::set<std::shared_ptr<MockKvStream>> kvs_;
};

void StateStreams::on_tick(int64_t now_us) {
  if (engine.faults().frozen) return;
  const auto loads = all(loads_);
  const EngineStats stats = loads.empty() ? EngineStats{} : engine.stats();
  const TimePoint now{std::chrono::microseconds(now_us)};
  for (const auto& stream : loads) stream->on_tick(stats, now);
  for (const auto& stream : all(kvs_)) stream->on_tick();
}

MockLoadStream::MockLoadStream(StateStreams& home, uint32_t interval_ms)
    : counted_(home.calls), home_(home), watch_(interval_ms) {}

void MockLoadStream::on_tick(const EngineStats& stats, TimePoint now) {
  offer([&](v1::LoadReport& report) {
    if (!watch_.due(stats, now)) return false;
    report.Clear();
    report.set_incarnation(home_.facts.hello.incarnation());
    *report.add_pools() = watch_.say(stats, now);
    report.set_draining(home_.engine.draining());
    report.set_tokens_generated(stats.tokens_generated);
    report.set_tokens_prefilled(stats.tokens_prefilled);
    report.set_requests_finished(stats.requests_finished);
    report.set_prefix_tokens_asked(stats.prefix_tokens_asked);
    report.set_prefix_tokens_found(stats.prefix_tokens_found);
    return true;
  });
}

void MockLoadStream::OnDone() {
  home_.remove(shared_from_this());
}

MockKvStream::MockKvStream(StateStreams& home, const v1::WatchKvRequest& request)
    : counted_(home.calls),
      home_(home),
      watch_(home.engine.kv_events(), home.facts.hello.incarnation(), request) {}

void MockKvStream::OnDone() {
  home_.remove(shared_from_this());
}

}  // namespace

std::unique_ptr<MockState> make_mock_state(const MockFacts& facts, MockEngine& engine) {
  return std::make_unique<StateStreams>(facts, engine);
}

}  // namespace bessemer
