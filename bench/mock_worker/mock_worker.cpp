#include "bench/mock_worker/mock_worker.h"

#include <deque>
#include <thread>

#include <grpcpp/grpcpp.h>

#include "bessemer/v1/cluster.grpc.pb.h"
#include "bessemer/v1/engine.grpc.pb.h"
#include "common/random.h"
#include "proto/features.h"

namespace bessemer {
namespace {

constexpr size_t kChunkBytes = 256 * 1024;
constexpr auto kWatchStep = std::chrono::milliseconds(20);

struct MockFacts {
  v1::Hello hello;
  v1::ModelCard card;
  std::string vocabulary;
};

// One Session call.
class MockLane final : public grpc::ServerBidiReactor<v1::RouterFrame, v1::WorkerFrame>,
                       public MockSink,
                       public std::enable_shared_from_this<MockLane> {
 public:
  MockLane(const MockFacts& facts, MockEngine& engine) : facts_(facts), engine_(engine) {}
  void begin() {
    self_ = shared_from_this();
    engine_.add_lane(self_);
    StartRead(&incoming_);
  }

  void send(v1::WorkerFrame frame) override {
    std::lock_guard lock(mutex_);
    if (finished_) return;
    queue_.push_back(std::move(frame));
    if (queue_.size() == 1) StartWrite(&queue_.front());
  }
  void sever() override { finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "severed")); }

  void OnReadDone(bool ok) override {
    if (!ok) return finish(grpc::Status::OK);
    act();
    StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    queue_.pop_front();
    if (ok && !finished_ && !queue_.empty()) StartWrite(&queue_.front());
  }
  void OnCancel() override { finish(grpc::Status::CANCELLED); }
  void OnDone() override {
    engine_.forget(this);
    self_.reset();
  }

 private:
  void finish(const grpc::Status& status) {
    std::lock_guard lock(mutex_);
    if (std::exchange(finished_, true)) return;
    Finish(status);
  }
  void act();

  const MockFacts& facts_;
  MockEngine& engine_;
  v1::RouterFrame incoming_;
  v1::Start chunked_;  // waits for the rest of its prompt
  std::mutex mutex_;
  bool finished_ = false;
  std::deque<v1::WorkerFrame> queue_;  // the front one is being written
  std::shared_ptr<MockLane> self_;
};

void MockLane::act() {
  if (incoming_.has_hello()) {
    v1::WorkerFrame frame;
    *frame.mutable_hello() = facts_.hello;
    frame.mutable_hello()->set_lane(incoming_.hello().lane());
    send(std::move(frame));
  } else if (incoming_.has_start() && incoming_.start().chunked()) {
    chunked_ = incoming_.start();
  } else if (incoming_.has_chunk() && incoming_.chunk().attempt() == chunked_.attempt()) {
    chunked_.mutable_input()->mutable_ids()->MergeFrom(incoming_.chunk().ids());
    if (!incoming_.chunk().last()) return;
    const auto& ids = chunked_.input().ids();
    engine_.start(self_, chunked_, {ids.begin(), ids.end()});
  } else if (incoming_.has_start()) {
    const auto& ids = incoming_.start().input().ids();
    engine_.start(self_, incoming_.start(), {ids.begin(), ids.end()});
  } else if (incoming_.has_cancel()) {
    engine_.cancel(this, incoming_.cancel());
  } else if (incoming_.has_ping() && !incoming_.ping().reply()) {
    v1::WorkerFrame frame;
    *frame.mutable_ping() = incoming_.ping();
    frame.mutable_ping()->set_reply(true);
    send(std::move(frame));
  }
}

class EngineService final : public v1::Engine::CallbackService {
 public:
  EngineService(const MockFacts& facts, MockEngine& engine) : facts_(facts), engine_(engine) {}
  grpc::ServerBidiReactor<v1::RouterFrame, v1::WorkerFrame>* Session(
      grpc::CallbackServerContext*) override {
    auto lane = std::make_shared<MockLane>(facts_, engine_);
    lane->begin();
    return lane.get();
  }

 private:
  const MockFacts& facts_;
  MockEngine& engine_;
};

class StateService final : public v1::State::Service {
 public:
  StateService(const MockFacts& facts, MockEngine& engine) : facts_(facts), engine_(engine) {}

  grpc::Status GetModelCard(grpc::ServerContext*, const v1::GetModelCardRequest*,
                            v1::ModelCard* card) override {
    *card = facts_.card;
    return grpc::Status::OK;
  }
  grpc::Status GetTokenizer(grpc::ServerContext*, const v1::GetTokenizerRequest*,
                            grpc::ServerWriter<v1::TokenizerChunk>* writer) override {
    for (size_t at = 0; at < facts_.vocabulary.size(); at += kChunkBytes) {
      v1::TokenizerChunk chunk;
      chunk.set_data(facts_.vocabulary.substr(at, kChunkBytes));
      chunk.set_last(at + kChunkBytes >= facts_.vocabulary.size());
      if (!writer->Write(chunk)) break;
    }
    return grpc::Status::OK;
  }
  grpc::Status WatchLoad(grpc::ServerContext* context, const v1::WatchLoadRequest* request,
                         grpc::ServerWriter<v1::LoadReport>* writer) override {
    const auto interval =
        std::chrono::milliseconds(request->interval_ms() == 0 ? 250 : request->interval_ms());
    auto due = std::chrono::steady_clock::now();
    while (!context->IsCancelled()) {
      if (std::chrono::steady_clock::now() >= due) {
        due += interval;
        v1::LoadReport report;
        report.set_incarnation(facts_.hello.incarnation());
        *report.add_pools() = engine_.load();
        report.set_tokens_generated(static_cast<uint64_t>(engine_.emitted()));
        if (!writer->Write(report)) break;
      }
      std::this_thread::sleep_for(kWatchStep);
    }
    return grpc::Status::OK;
  }

 private:
  const MockFacts& facts_;
  MockEngine& engine_;
};

class MockWorkerImpl final : public MockWorker {
 public:
  explicit MockWorkerImpl(const MockWorkerOptions& options);
  ~MockWorkerImpl() override {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }
  Status listen(const MockWorkerOptions& options);
  int port() const override { return port_; }
  MockEngine& engine() override { return engine_; }

 private:
  MockFacts facts_;
  MockEngine engine_;
  EngineService engine_service_{facts_, engine_};
  StateService state_service_{facts_, engine_};
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

MockWorkerImpl::MockWorkerImpl(const MockWorkerOptions& options)
    : engine_(options.model, options.timing) {
  facts_.vocabulary = options.model.vocabulary().SerializeAsString();
  facts_.card = options.model.card(facts_.vocabulary);
  v1::Hello& hello = facts_.hello;
  hello.set_protocol_min(1);
  hello.set_protocol_max(1);
  hello.set_incarnation(random_seed());
  hello.set_node("mock");
  hello.set_version("mock");
  hello.set_lease_ms(3000);
  hello.set_max_attempts(8192);
  for (uint32_t feature = 1; feature <= static_cast<uint32_t>(Feature::typical_p); feature++) {
    if ((options.missing_features >> feature & 1) == 0) hello.add_features(feature);
  }
  auto* served = hello.add_served();
  served->set_card_hash(facts_.card.card_hash());
}

Status MockWorkerImpl::listen(const MockWorkerOptions& options) {
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT,
                             0);  // a port in use must be an error, not shared
  builder.AddListeningPort(options.host + ":" + std::to_string(options.port),
                           grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(&engine_service_);
  builder.RegisterService(&state_service_);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr)
    return absl::UnavailableError("the mock worker cannot bind port " +
                                  std::to_string(options.port));
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::unique_ptr<MockWorker>> MockWorker::start(const MockWorkerOptions& options) {
  auto worker = std::make_unique<MockWorkerImpl>(options);
  RETURN_IF_ERROR(worker->listen(options));
  return std::unique_ptr<MockWorker>(std::move(worker));
}

}  // namespace bessemer
