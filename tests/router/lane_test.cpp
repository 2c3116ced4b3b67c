// The lane under many threads, without gRPC, so that TSan sees all of it.
#include "router/upstream/lane.h"

#include <array>
#include <atomic>
#include <condition_variable>
#include <thread>

#include <gtest/gtest.h>

#include "common/check.h"
#include "proto/features.h"

namespace bessemer {
namespace {

// A wire with a thread of its own that answers every Start with tokens and Done.
class EchoWire final : public Wire {
 public:
  EchoWire(Lane& lane, uint32_t tokens)
      : lane_(lane), tokens_(tokens), thread_([this] { run(); }) {}
  ~EchoWire() override { CHECK(!thread_.joinable()); }
  // Returns once the lane has let go. The destructor cannot wait: the last reference may die on
  // this very thread.
  void join() { thread_.join(); }

  void write(const v1::RouterFrame& frame) override {
    std::lock_guard lock(mutex_);
    ASSERT_FALSE(released_);
    ASSERT_EQ(written_, nullptr);
    written_ = &frame;
    wake_.notify_one();
  }
  void close() override {
    std::lock_guard lock(mutex_);
    closed_ = true;
    wake_.notify_one();
  }
  void release() override {
    std::lock_guard lock(mutex_);
    released_ = true;
    wake_.notify_one();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (!closed_) {
      wake_.wait(lock, [&] { return closed_ || written_ != nullptr; });
      if (written_ == nullptr) continue;
      const v1::RouterFrame frame = *written_;
      written_ = nullptr;
      lock.unlock();
      lane_.written(true);
      if (frame.has_hello()) greet();
      if (frame.has_start()) answer(frame.start());
      lock.lock();
    }
    const bool pending = std::exchange(written_, nullptr) != nullptr;
    lock.unlock();
    lane_.lost("closed", {});
    if (pending) lane_.written(false);
    lock.lock();
    wake_.wait(lock, [&] { return released_; });
  }
  // Only once the lane has spoken: what comes before open() is not heard.
  void greet() {
    auto hello = std::make_shared<v1::WorkerFrame>();
    hello->mutable_hello()->set_protocol_min(1);
    hello->mutable_hello()->set_protocol_max(1);
    EXPECT_TRUE(lane_.received(hello, {}).ok());
  }
  void answer(const v1::Start& start) {
    for (uint32_t i = 0; i < tokens_; i++) {
      auto frame = std::make_shared<v1::WorkerFrame>();
      auto* step = frame->mutable_step();
      step->add_attempt(start.attempt());
      step->add_choice(0);
      step->add_offset(i);
      step->add_count(1);
      step->add_ids(i);
      if (i + 1 == tokens_) {
        auto* end = step->add_after();
        end->set_attempt(start.attempt());
        end->mutable_choice_end()->set_reason(v1::END_LENGTH);
        end->mutable_choice_end()->set_end_offset(tokens_);
        auto* done = step->add_after();
        done->set_attempt(start.attempt());
        done->mutable_done();
      }
      EXPECT_TRUE(lane_.received(frame, {}).ok());
    }
  }

  Lane& lane_;
  const uint32_t tokens_;
  std::mutex mutex_;
  std::condition_variable wake_;
  const v1::RouterFrame* written_ = nullptr;
  bool closed_ = false, released_ = false;
  std::thread thread_;
};

TEST(Lane, ManyCoresShareOneLane) {
  constexpr uint32_t kTokens = 20;
  constexpr uint64_t kPerCore = 300;
  constexpr uint32_t kCores = 4;
  std::array<std::atomic<uint64_t>, kCores> rows{}, dones{}, losses{};
  Lane lane([&](std::vector<CoreBatch>& batches) {
    for (const auto& batch : batches) {
      for (const auto& item : batch.items) {
        if (std::holds_alternative<TokenRow>(item.what)) {
          rows[batch.core]++;
        } else if (std::holds_alternative<AttemptLost>(item.what)) {
          losses[batch.core]++;
        } else if (std::get<const v1::Event*>(item.what)->has_done()) {
          dones[batch.core]++;
        }
      }
    }
  });
  EXPECT_FALSE(lane.ready());
  auto wire = std::make_shared<EchoWire>(lane, kTokens);
  lane.open(wire, {}, {});
  while (!lane.ready()) std::this_thread::yield();
  std::vector<std::thread> cores;
  for (uint32_t core = 0; core < kCores; core++) {
    cores.emplace_back([&, core] {
      for (uint64_t serial = 1; serial <= kPerCore; serial++) {
        v1::Start start;
        start.mutable_generate()->set_n(1);
        EXPECT_TRUE(lane.start({core, serial}, std::move(start)).ok());
        if (serial % 7 == 0) lane.cancel({core, serial}, {});
        if (serial % 50 == 0) lane.tick({});
      }
    });
  }
  for (auto& core : cores) core.join();
  const auto settled = [&] {
    for (uint32_t core = 0; core < kCores; core++) {
      if (dones[core] < kPerCore - kPerCore / 7) return false;
    }
    return true;
  };
  for (int i = 0; i < 2000 && !settled(); i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_TRUE(settled());
  for (uint32_t core = 0; core < kCores; core++) {
    EXPECT_GE(rows[core], (kPerCore - kPerCore / 7) * kTokens);
    EXPECT_EQ(losses[core], 0u);
  }
  lane.shut();
  wire->join();
  EXPECT_FALSE(lane.is_open());
  EXPECT_TRUE(absl::IsUnavailable(lane.start({0, 1'000'000}, {})));
}

TEST(Lane, AttemptsAreLostWithTheWire) {
  std::atomic<int> losses{0};
  Lane lane([&](std::vector<CoreBatch>& batches) {
    for (const auto& batch : batches) losses += static_cast<int>(batch.items.size());
  });
  auto wire = std::make_shared<EchoWire>(lane, 0);  // never answers
  lane.open(wire, {}, {});
  while (!lane.ready()) std::this_thread::yield();
  for (uint64_t serial = 1; serial <= 10; serial++) EXPECT_TRUE(lane.start({0, serial}, {}).ok());
  lane.shut();
  wire->join();
  EXPECT_EQ(losses, 10);
}

// A worker that answers only what it is told to, and keeps what it was sent.
class ScriptedWire final : public Wire {
 public:
  ScriptedWire(Lane& lane, uint64_t incarnation) : lane_(lane), incarnation_(incarnation) {}
  void write(const v1::RouterFrame& frame) override {
    sent.push_back(frame);
    lane_.written(true);
  }
  void close() override { closed = true; }
  void release() override {}
  void greet(uint32_t orphan_ms = 2000) {
    auto frame = std::make_shared<v1::WorkerFrame>();
    auto& hello = *frame->mutable_hello();
    hello.set_protocol_min(1);
    hello.set_protocol_max(1);
    hello.set_incarnation(incarnation_);
    hello.set_orphan_ms(orphan_ms);
    hello.add_features(static_cast<uint32_t>(Feature::attach));
    EXPECT_TRUE(lane_.received(frame, {}).ok());
  }
  void row(uint64_t attempt, uint32_t offset) {
    auto frame = std::make_shared<v1::WorkerFrame>();
    auto& step = *frame->mutable_step();
    step.add_attempt(attempt);
    step.add_choice(0);
    step.add_offset(offset);
    step.add_count(1);
    step.add_ids(offset);
    EXPECT_TRUE(lane_.received(frame, {}).ok());
  }

  std::vector<v1::RouterFrame> sent;
  bool closed = false;

 private:
  Lane& lane_;
  const uint64_t incarnation_;
};

class OrphanTest : public ::testing::Test {
 protected:
  std::shared_ptr<ScriptedWire> connect(uint64_t incarnation) {
    auto wire = std::make_shared<ScriptedWire>(lane_, incarnation);
    lane_.open(wire, {}, {});
    return wire;
  }
  void start(uint64_t serial) {
    v1::Start start;
    start.set_request_id("request");
    start.set_epoch(3);
    EXPECT_TRUE(lane_.start({0, serial}, std::move(start)).ok());
  }

  std::vector<uint32_t> offsets_;
  std::vector<LossCause> losses_;
  Lane lane_{[this](std::vector<CoreBatch>& batches) {
    for (const auto& batch : batches) {
      for (const auto& item : batch.items) {
        if (const auto* row = std::get_if<TokenRow>(&item.what))
          offsets_.push_back(static_cast<uint32_t>(row->offset));
        if (const auto* lost = std::get_if<AttemptLost>(&item.what)) losses_.push_back(lost->cause);
      }
    }
  }};
};

TEST_F(OrphanTest, GoOnBehindWhatWasDelivered) {
  auto first = connect(7);
  first->greet();
  start(1);
  first->row(1, 0);
  first->row(1, 1);
  lane_.lost("broken", {});
  lane_.cancel({0, 1}, {0});
  auto second = connect(7);
  second->greet();
  EXPECT_TRUE(losses_.empty());
  ASSERT_EQ(second->sent.size(), 3u);  // Hello, Attach, Cancel
  const v1::Attach& attach = second->sent[1].attach();
  EXPECT_EQ(attach.request_id(), "request");
  EXPECT_EQ(attach.epoch(), 3u);
  ASSERT_EQ(attach.next_offset_size(), 1);
  EXPECT_EQ(attach.next_offset(0), 2u);
  EXPECT_EQ(second->sent[2].cancel().choices(0), 0u);
  second->row(attach.attempt(), 1);  // repeated
  second->row(attach.attempt(), 2);
  EXPECT_EQ(offsets_, (std::vector<uint32_t>{0, 1, 2}));
}

TEST_F(OrphanTest, AreLostWithTheirProcess) {
  connect(7)->greet();
  start(1);
  lane_.lost("broken", {});
  EXPECT_TRUE(losses_.empty());
  auto second = connect(8);
  EXPECT_TRUE(losses_.empty());
  second->greet();
  EXPECT_EQ(losses_, std::vector{LossCause::crash});
}

TEST_F(OrphanTest, AreLostWhenNobodyListensAndWhenTheirTimeIsOver) {
  connect(7)->greet();
  start(1);
  start(2);
  lane_.cancel({0, 2}, {});
  lane_.lost("broken", {});
  lane_.abandon_orphans(LossCause::crash, "refused");
  EXPECT_EQ(losses_, std::vector{LossCause::crash});
  lane_.tick(TimePoint{} + std::chrono::seconds(9));
  EXPECT_EQ(losses_.size(), 1u);

  connect(7)->greet();
  start(3);
  lane_.lost("broken", {});
  lane_.tick(TimePoint{} + std::chrono::milliseconds(1999));
  EXPECT_EQ(losses_.size(), 1u);
  lane_.tick(TimePoint{} + std::chrono::milliseconds(2000));
  EXPECT_EQ(losses_.back(), LossCause::lane);
  EXPECT_EQ(losses_.size(), 2u);
}

TEST_F(OrphanTest, ThereAreNoneOfASilentPeerAndOfOneThatKeepsNone) {
  connect(7)->greet();
  start(1);
  lane_.tick(TimePoint{} + std::chrono::seconds(4));
  lane_.lost("closed", {});
  EXPECT_EQ(losses_, std::vector{LossCause::lease});
  connect(7)->greet(0);
  start(2);
  lane_.lost("broken", {});
  EXPECT_EQ(losses_.back(), LossCause::lane);
  EXPECT_EQ(losses_.size(), 2u);
}

TEST_F(OrphanTest, AWorkerThatForgotThemLosesThem) {
  connect(7)->greet();
  start(1);
  lane_.lost("broken", {});
  auto second = connect(7);
  second->greet();
  auto frame = std::make_shared<v1::WorkerFrame>();
  auto* event = frame->mutable_step()->add_before();
  event->set_attempt(second->sent[1].attach().attempt());
  event->mutable_rejected()->set_reason(v1::REJECT_NOT_FOUND);
  EXPECT_TRUE(lane_.received(frame, {}).ok());
  EXPECT_EQ(losses_, std::vector{LossCause::lane});
}

TEST_F(OrphanTest, AbandonedAttemptsAreCancelledAndTheLaneStays) {
  auto wire = connect(7);
  wire->greet();
  start(1);
  lane_.abandon(LossCause::stuck, "hangs");
  EXPECT_EQ(losses_, std::vector{LossCause::stuck});
  EXPECT_TRUE(wire->sent.back().has_cancel());
  EXPECT_TRUE(lane_.ready());
  start(2);
  wire->row(2, 0);
  EXPECT_EQ(offsets_.size(), 1u);
}

TEST(Lane, ASilentPeerIsCutOff) {
  Lane lane([](std::vector<CoreBatch>&) {});
  auto wire = std::make_shared<EchoWire>(lane, 0);
  lane.open(wire, {}, {});
  while (!lane.ready()) std::this_thread::yield();
  lane.tick(TimePoint{} + std::chrono::seconds(4));
  wire->join();  // the lane has closed it
  EXPECT_FALSE(lane.is_open());
}

}  // namespace
}  // namespace bessemer
