// Attempts that change hands while the engine speaks.
#include "worker/service/orphans.h"

#include <atomic>
#include <chrono>

#include "tests/service/hub_world.h"

namespace bessemer::testing {
namespace {

// A lane as far as its attempts are concerned; ReplayTail::note checks that nothing is missing and
// nothing comes twice.
class FakeLane final : public EventSink, public std::enable_shared_from_this<FakeLane> {
 public:
  explicit FakeLane(Hub& hub) : hub_(hub) {}
  bool submit(Request request, const std::string& name, uint32_t epoch = 0) {
    std::lock_guard lock(mutex_);
    const std::vector<int32_t> offsets(static_cast<size_t>(request.n));
    orphan_ = {request.id, name, epoch, ReplayTail(offsets, true)};
    return hub_.submit(std::move(request), shared_from_this());
  }
  bool attach(Orphans& orphans, const std::string& name) {
    std::lock_guard lock(mutex_);
    orphan_ = orphans.give(name, 0, shared_from_this());
    return orphan_.has_value();
  }
  void lose(Orphans& orphans, TimePoint until) {
    std::lock_guard lock(mutex_);
    lost_ = true;
    std::vector<Orphan> mine;
    mine.push_back(std::move(*orphan_));
    orphans.take_in(std::move(mine), until);
  }
  std::vector<EngineEvent> deliver(StepId, std::span<const EngineEvent> events) override {
    std::lock_guard lock(mutex_);
    if (lost_) return {events.begin(), events.end()};
    for (const EngineEvent& event : events) orphan_->tail.note(event);
    return {};
  }
  bool is_over() const {
    std::lock_guard lock(mutex_);
    return orphan_->tail.is_over();
  }
  int32_t tokens() const {
    std::lock_guard lock(mutex_);
    return orphan_->tail.next(0);
  }

 private:
  Hub& hub_;
  mutable std::mutex mutex_;
  std::optional<Orphan> orphan_;
  bool lost_ = false;
};

// O1.
TEST(Orphans, NothingIsLostOrRepeatedWhileAttemptsChangeHands) {
  World world;
  const auto orphans = std::make_shared<Orphans>(world.hub);
  std::atomic<int> changes = 0;
  const auto run = [&](int thread) {
    const TimePoint until = world.clock.now() + std::chrono::hours(1);
    for (int i = 0; i < 60; ++i) {
      const std::string name = std::to_string(thread) + "/" + std::to_string(i);
      auto lane = std::make_shared<FakeLane>(world.hub);
      ASSERT_TRUE(lane->submit(request(world.hub.new_attempt(), 125), name));
      while (!lane->is_over()) {
        lane->lose(*orphans, until);
        lane = std::make_shared<FakeLane>(world.hub);
        ASSERT_TRUE(lane->attach(*orphans, name));
        ++changes;
      }
      ASSERT_EQ(lane->tokens(), 125);
    }
  };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 3; ++thread) threads.emplace_back(run, thread);
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(changes, 200);
  EXPECT_EQ(orphans->count(), 0u);
  wait_until([&] { return world.hub.alive() == 0; });
}

TEST(Orphans, WhoIsNotTakenUpIsCancelled) {
  World world;
  const auto orphans = std::make_shared<Orphans>(world.hub);
  const TimePoint now = world.clock.now();
  Request endless = request(world.hub.new_attempt(), 125);
  endless.send_until = 1;  // parked: it would never end by itself
  const auto lane = std::make_shared<FakeLane>(world.hub);
  ASSERT_TRUE(lane->submit(endless, "a"));
  wait_until([&] { return lane->tokens() == 1; });
  lane->lose(*orphans, now + std::chrono::seconds(2));
  orphans->on_tick(now + std::chrono::milliseconds(1999));
  EXPECT_EQ(world.hub.alive(), 1u);
  EXPECT_EQ(orphans->count(), 1u);
  EXPECT_GT(world.hub.stats().kv_held, 0);
  orphans->on_tick(now + std::chrono::seconds(2));
  wait_until([&] { return world.hub.alive() == 0; });
  EXPECT_EQ(orphans->count(), 0u);
  EXPECT_FALSE(std::make_shared<FakeLane>(world.hub)->attach(*orphans, "a"));
  wait_until([&] { return world.hub.stats().kv_held == 0; });
}

TEST(Orphans, OfTwoEpochsTheNewerStaysInWhicheverOrderTheyCome) {
  for (const uint32_t first : {0u, 1u}) {
    World world;
    const auto orphans = std::make_shared<Orphans>(world.hub);
    const TimePoint until = world.clock.now() + std::chrono::hours(1);
    for (const uint32_t epoch : {first, 1 - first}) {
      Request endless = request(world.hub.new_attempt(), 125);
      endless.send_until = 1;
      const auto lane = std::make_shared<FakeLane>(world.hub);
      ASSERT_TRUE(lane->submit(endless, "a", epoch));
      wait_until([&] { return lane->tokens() == 1; });
      lane->lose(*orphans, until);
    }
    wait_until([&] { return world.hub.alive() == 1; });  // the other is cancelled, not forgotten
    EXPECT_EQ(orphans->count(), 1u);
    EXPECT_FALSE(orphans->give("a", 0, nullptr));
    const auto newer = orphans->give("a", 1, nullptr);
    ASSERT_TRUE(newer);
    world.hub.cancel(newer->id, {});
    wait_until([&] { return world.hub.alive() == 0; });
  }
}

TEST(Orphans, WhatEndsMeanwhileIsKeptUntilItsTimeIsUp) {
  World world;
  const auto orphans = std::make_shared<Orphans>(world.hub);
  const TimePoint now = world.clock.now();
  auto lane = std::make_shared<FakeLane>(world.hub);
  ASSERT_TRUE(lane->submit(request(world.hub.new_attempt(), 20), "a"));
  lane->lose(*orphans, now + std::chrono::hours(1));
  wait_until([&] { return world.hub.alive() == 0; });
  EXPECT_FALSE(orphans->give("a", 1, nullptr));  // another epoch
  lane = std::make_shared<FakeLane>(world.hub);
  ASSERT_TRUE(lane->attach(*orphans, "a"));
  EXPECT_TRUE(lane->is_over());
  EXPECT_EQ(lane->tokens(), 20);
}

}  // namespace
}  // namespace bessemer::testing
