#include "tests/sim/workload.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/speed.h"
#include "tests/sim/timeline.h"

namespace bessemer::sim {
namespace {

using testing::ElementsAre;

bench::Trace two_requests() {
  bench::Trace trace;
  trace.block_tokens = 512;
  trace.quantum_s = 0.001;
  trace.requests = {{0, 1200, 7, {1, 2, 3}}, {10, 1100, 9, {1, 2, 4}}};
  return trace;
}

TEST(RoutingWorkload, BlocksOfOneNameAreOneText) {
  const Workload workload = workload_of(two_requests(), "t", {});
  ASSERT_EQ(workload.turn_count(), 2u);
  const auto first = tokens_of(workload.conversations[0].turns[0].prompt);
  const auto second = tokens_of(workload.conversations[1].turns[0].prompt);
  ASSERT_EQ(first.size(), 1200u);
  ASSERT_EQ(second.size(), 1100u);
  EXPECT_TRUE(std::equal(first.begin(), first.begin() + 1024, second.begin()));
  EXPECT_FALSE(std::equal(first.begin() + 1024, first.begin() + 1100, second.begin() + 1024));
  EXPECT_EQ(workload.conversations[0].turns[0].answer.count, 7);
}

TEST(RoutingWorkload, WithoutBlocksNothingIsInCommon) {
  bench::Trace trace = two_requests();
  trace.block_tokens = 0;
  for (bench::TraceRequest& request : trace.requests) request.blocks.clear();
  const Workload workload = workload_of(trace, "t", {});
  const auto first = tokens_of(workload.conversations[0].turns[0].prompt);
  const auto second = tokens_of(workload.conversations[1].turns[0].prompt);
  EXPECT_NE(std::vector(first.begin(), first.begin() + 100),
            std::vector(second.begin(), second.begin() + 100));
}

TEST(RoutingWorkload, SpeedShrinksTheGaps) {
  const Workload slow = workload_of(two_requests(), "t", {.speed = 1});
  const Workload fast = workload_of(two_requests(), "t", {.speed = 4});
  EXPECT_NEAR(slow.conversations[1].at_s, 10, 0.002);
  EXPECT_NEAR(fast.conversations[1].at_s, 2.5, 0.001);
}

TEST(RoutingWorkload, EachTurnSendsAllThatWasSaidBefore) {
  const Workload workload = turns_workload({.conversations = 30});
  size_t later_turns = 0;
  for (const Conversation& conversation : workload.conversations) {
    for (size_t i = 1; i < conversation.turns.size(); ++i) {
      std::vector<int32_t> said = tokens_of(conversation.turns[i - 1].prompt);
      const auto answer = tokens_of(std::span(&conversation.turns[i - 1].answer, 1));
      said.insert(said.end(), answer.begin(), answer.end());
      const auto prompt = tokens_of(conversation.turns[i].prompt);
      ASSERT_GT(prompt.size(), said.size());
      ASSERT_TRUE(std::equal(said.begin(), said.end(), prompt.begin()));
      ++later_turns;
    }
  }
  EXPECT_GT(later_turns, 50u);
}

TEST(RoutingWorkload, ASeedIsAWorkload) {
  const auto shape = [](uint64_t seed) {
    std::vector<double> numbers;
    for (const Conversation& each :
         turns_workload({.conversations = 20, .seed = seed}).conversations) {
      numbers.push_back(each.at_s);
      for (const Turn& turn : each.turns) numbers.push_back(length_of(turn.prompt));
    }
    return numbers;
  };
  EXPECT_EQ(shape(3), shape(3));
  EXPECT_NE(shape(3), shape(4));
}

TEST(RoutingTimeline, RunsInTheOrderOfTimesThenOfAsking) {
  Timeline timeline;
  std::vector<int> ran;
  timeline.after(std::chrono::seconds(2), [&] { ran.push_back(3); });
  timeline.after(std::chrono::seconds(1), [&] {
    ran.push_back(1);
    timeline.after(std::chrono::seconds(1), [&] { ran.push_back(4); });
  });
  timeline.after(std::chrono::seconds(1), [&] { ran.push_back(2); });
  while (timeline.step()) {
  }
  EXPECT_THAT(ran, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(timeline.seconds(), 2);
}

TEST(RoutingSpeed, IsTheGreaterOfComputingAndReading) {
  const Speed speed{
      .fixed_us = 1, .row_us = 10, .pair_ns = 1000, .weights_us = 50, .context_ns = 1000};
  EXPECT_DOUBLE_EQ(step_us(speed, {.rows = 1, .pairs = 4, .context = 4}), 1 + 50 + 4) << "reads";
  EXPECT_DOUBLE_EQ(step_us(speed, {.rows = 10, .pairs = 50, .context = 10}), 1 + 100 + 50)
      << "computes";
}

}  // namespace
}  // namespace bessemer::sim
