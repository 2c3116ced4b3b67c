// Hub, fence and load.
#include "worker/service/hub.h"

#include <atomic>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/service/hub_world.h"
#include "worker/service/epoch_fence.h"
#include "worker/service/load.h"

namespace bessemer::testing {
namespace {

using std::chrono::milliseconds;

// Counts what comes; one lane.
class Counter final : public EventSink {
 public:
  std::vector<EngineEvent> deliver(StepId, std::span<const EngineEvent> events) override {
    for (const EngineEvent& event : events) {
      if (const auto* t = std::get_if<Tokens>(&event.what))
        tokens += static_cast<int64_t>(t->ids.size());
      if (std::holds_alternative<Done>(event.what)) ++done;
      if (std::holds_alternative<Rejected>(event.what)) ++rejected;
    }
    return {};
  }
  std::atomic<int64_t> tokens{0}, done{0}, rejected{0};
};

TEST(Hub, EachLaneGetsItsOwn) {
  World world;
  constexpr int kLanes = 4, kRequests = 25, kTokens = 7;
  std::vector<std::shared_ptr<Counter>> lanes;
  std::vector<std::thread> threads;
  for (int i = 0; i < kLanes; ++i) lanes.push_back(std::make_shared<Counter>());
  for (const auto& lane : lanes) {
    threads.emplace_back([&world, lane] {
      for (int i = 0; i < kRequests; ++i) {
        while (!world.hub.submit(request(world.hub.new_attempt(), kTokens), lane))
          std::this_thread::yield();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& lane : lanes) {
    wait_until([&] { return lane->done + lane->rejected == kRequests; });
    EXPECT_EQ(lane->tokens, lane->done * kTokens);
  }
  EXPECT_EQ(world.hub.alive(), 0u);
}

TEST(Hub, DrainRefusesNewWork) {
  World world;
  const auto lane = std::make_shared<Counter>();
  world.hub.drain();
  EXPECT_TRUE(world.hub.draining());
  if (world.hub.submit(request(world.hub.new_attempt(), 5), lane))
    wait_until([&] { return lane->rejected == 1; });
  EXPECT_EQ(lane->done, 0);
}

TEST(EpochFence, RemembersTheNewestRequestsOnly) {
  EpochFence fence(2);
  using Verdict = EpochFence::Verdict;
  EXPECT_EQ(fence.claim("a", 1, AttemptId{1}).verdict, Verdict::fresh);
  EXPECT_EQ(fence.claim("a", 1, AttemptId{2}).verdict, Verdict::repeated);
  EXPECT_EQ(fence.claim("a", 0, AttemptId{2}).verdict, Verdict::stale);
  const auto later = fence.claim("a", 2, AttemptId{3});
  EXPECT_EQ(later.verdict, Verdict::fresh);
  EXPECT_EQ(later.replaced, AttemptId{1});
  fence.release("a", AttemptId{3});
  EXPECT_FALSE(fence.knows("a", 2));
  const auto again = fence.claim("a", 2, AttemptId{4});
  EXPECT_EQ(again.verdict, Verdict::fresh);
  EXPECT_FALSE(again.replaced);
  EXPECT_TRUE(fence.knows("a", 2));
  EXPECT_EQ(fence.holder("a", 2), AttemptId{4});
  EXPECT_FALSE(fence.holder("a", 1));
  EXPECT_FALSE(fence.holder("z", 2));
  fence.claim("b", 1, AttemptId{5});
  fence.claim("c", 1, AttemptId{6});
  EXPECT_FALSE(fence.knows("a", 2));
  EXPECT_TRUE(fence.knows("b", 1));
}

TEST(LoadWatch, SpeaksAtOnceThenEachIntervalThenOnLargeChange) {
  LoadWatch watch(1000);
  EngineStats stats;
  stats.kv_total = stats.kv_free = 100;
  stats.running = 8;
  TimePoint now{};
  EXPECT_TRUE(watch.due(stats, now));
  EXPECT_EQ(watch.say(stats, now).seq(), 1u);
  EXPECT_FALSE(watch.due(stats, now += milliseconds(999)));
  EXPECT_TRUE(watch.due(stats, now += milliseconds(1)));
  EXPECT_EQ(watch.say(stats, now).seq(), 2u);
  stats.running = 10;
  EXPECT_FALSE(watch.due(stats, now += milliseconds(199))) << "a fifth of the interval at least";
  stats.running = 9;
  EXPECT_FALSE(watch.due(stats, now += milliseconds(1)));
  stats.running = 10;
  EXPECT_TRUE(watch.due(stats, now));
  stats.running = 8;
  stats.kv_free = 91;
  EXPECT_FALSE(watch.due(stats, now));
  stats.kv_free = 90;
  EXPECT_TRUE(watch.due(stats, now));
  stats.kv_cached = 10;  // given up when needed: nothing has changed for a router
  EXPECT_FALSE(watch.due(stats, now));
  stats.backlog_tokens = 63;
  EXPECT_FALSE(watch.due(stats, now));
  stats.backlog_tokens = 64;
  EXPECT_TRUE(watch.due(stats, now));
}

TEST(LoadWatch, IsBoundedByWhatTheRouterAsksFor) {
  EngineStats stats;
  LoadWatch hasty(1);
  TimePoint now{};
  hasty.say(stats, now);
  stats.running = 100;
  EXPECT_FALSE(hasty.due(stats, now + milliseconds(kLeastLoadIntervalMs - 1)));
  EXPECT_TRUE(hasty.due(stats, now + milliseconds(kLeastLoadIntervalMs)));
}

TEST(LoadWatch, IsQuietWhileNothingHappens) {
  EngineStats stats;
  LoadWatch watch(100);
  TimePoint now{};
  watch.say(stats, now);
  EXPECT_FALSE(watch.due(stats, now + milliseconds(kQuietLoadIntervalMs - 1)));
  EXPECT_TRUE(watch.due(stats, now + milliseconds(kQuietLoadIntervalMs)));
  stats.steps = 1;
  EXPECT_TRUE(watch.due(stats, now + milliseconds(100)));
}

}  // namespace
}  // namespace bessemer::testing
