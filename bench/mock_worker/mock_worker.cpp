#include "bench/mock_worker/mock_worker.h"

#include <chrono>

#include <grpcpp/grpcpp.h>

#include "bench/mock_worker/mock_lane.h"
#include "bench/mock_worker/mock_state.h"
#include "common/random.h"
#include "proto/features.h"

namespace bessemer {
namespace {

MockFacts make_facts(const MockWorkerOptions& options) {
  MockFacts facts;
  facts.vocabulary = options.model.vocabulary().SerializeAsString();
  facts.card = options.model.card(facts.vocabulary);
  v1::Hello& hello = facts.hello;
  hello.set_protocol_min(1);
  hello.set_protocol_max(1);
  hello.set_incarnation(random_seed());
  hello.set_node("mock");
  hello.set_version("mock");
  hello.set_lease_ms(3000);
  hello.set_orphan_ms(static_cast<uint32_t>(options.limits.orphan_ms));
  hello.set_max_attempts(8192);
  const auto offer = [&](Feature feature) {
    if ((options.missing_features & feature_bit(feature)) == 0)
      hello.add_features(static_cast<uint32_t>(feature));
  };
  for (auto feature = Feature::generate; feature <= Feature::cache_root;
       feature = Feature{static_cast<uint32_t>(feature) + 1})
    offer(feature);
  offer(Feature::resume);
  offer(Feature::credit);
  if (options.limits.orphan_ms > 0) offer(Feature::attach);
  auto* served = hello.add_served();
  served->set_card_hash(facts.card.card_hash());
  served->set_numerics(facts.card.numerics());
  served->set_hash_domain(facts.card.hash_domain());
  served->set_block_size(facts.card.block_tokens());
  return facts;
}

// One life, from its listener to its crash.
class MockLife {
 public:
  MockLife(const MockWorkerOptions& options, MockFaults& faults, Complaints& complaints);
  ~MockLife();
  Status listen(const std::string& host, int port);

  MockEngine& engine() { return *engine_; }
  MockSessions& sessions() { return *sessions_; }
  int port() const { return port_; }

 private:
  void on_tick(int64_t now_us) {
    if (!serving_) return;
    sessions_->on_tick(now_us);
    state_->on_tick(now_us);
  }

  const MockFacts facts_;
  std::atomic<bool> serving_{false};
  std::unique_ptr<MockEngine> engine_;
  std::unique_ptr<MockSessions> sessions_;
  std::unique_ptr<MockState> state_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

MockLife::MockLife(const MockWorkerOptions& options, MockFaults& faults, Complaints& complaints)
    : facts_(make_facts(options)),
      engine_(std::make_unique<MockEngine>(options.model, facts_.card.hash_domain(), options.timing,
                                           options.limits, faults, complaints,
                                           [this](int64_t now_us) { on_tick(now_us); })),
      sessions_(make_mock_sessions(facts_, *engine_, complaints, options.chaos_seed)),
      state_(make_mock_state(facts_, *engine_)) {}

// The engine's thread ends last of those that touch the others.
MockLife::~MockLife() {
  if (server_ != nullptr) {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    sessions_->wait_for_none();
    state_->wait_for_none();
  }
  engine_.reset();
}

Status MockLife::listen(const std::string& host, int port) {
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT,
                             0);  // a port in use must be an error, not shared
  builder.AddListeningPort(host + ":" + std::to_string(port), grpc::InsecureServerCredentials(),
                           &port_);
  builder.RegisterService(sessions_->service());
  builder.RegisterService(state_->service());
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port_ == 0) {
    return absl::UnavailableError("the mock worker cannot bind port " + std::to_string(port));
  }
  serving_ = true;
  return absl::OkStatus();
}

class MockWorkerImpl final : public MockWorker {
 public:
  explicit MockWorkerImpl(const MockWorkerOptions& options)
      : options_(options), port_(options.port), chaos_seeds_(options.chaos_seed) {}

  int port() const override { return port_; }
  std::string address() const override { return options_.host + ":" + std::to_string(port_); }
  MockEngine& engine() override { return life_->engine(); }
  MockFaults& faults() override { return faults_; }
  const Complaints& complaints() const override { return complaints_; }
  int64_t resumed() const override {
    return resumed_ + (life_ == nullptr ? 0 : life_->engine().resumed());
  }
  int64_t attached() const override {
    return attached_ + (life_ == nullptr ? 0 : life_->engine().attached());
  }
  bool alive() const override { return life_ != nullptr; }
  void crash() override;
  Status revive() override;
  void drain(uint32_t deadline_ms) override {
    life_->engine().drain();
    life_->sessions().drain(deadline_ms);
  }

 private:
  MockWorkerOptions options_;
  int port_;
  Random chaos_seeds_;
  MockFaults faults_;
  Complaints complaints_;
  int64_t resumed_ = 0, attached_ = 0;  // in earlier lives
  std::unique_ptr<MockLife> life_;
};

void MockWorkerImpl::crash() {
  resumed_ = resumed();
  attached_ = attached();
  life_.reset();
}

Status MockWorkerImpl::revive() {
  options_.chaos_seed = chaos_seeds_.next();
  auto life = std::make_unique<MockLife>(options_, faults_, complaints_);
  RETURN_IF_ERROR(life->listen(options_.host, port_));
  port_ = life->port();
  life_ = std::move(life);
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::unique_ptr<MockWorker>> MockWorker::start(const MockWorkerOptions& options) {
  auto worker = std::make_unique<MockWorkerImpl>(options);
  RETURN_IF_ERROR(worker->revive());
  return std::unique_ptr<MockWorker>(std::move(worker));
}

}  // namespace bessemer
