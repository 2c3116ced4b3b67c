// The lane under many threads, without gRPC, so that TSan sees all of it.
#include "router/upstream/lane.h"

#include <array>
#include <atomic>
#include <condition_variable>
#include <thread>

#include <gtest/gtest.h>

#include "common/check.h"

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
    lane_.lost("closed");
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
        } else {
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
