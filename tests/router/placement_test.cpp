#include "router/routing/placement.h"

#include <gtest/gtest.h>

namespace bessemer {
namespace {

Candidate candidate(uint32_t worker, int64_t sequences = 0, uint64_t backlog = 0) {
  Candidate one;
  one.worker = worker;
  one.sequences = sequences;
  one.backlog_tokens = static_cast<int64_t>(backlog);
  one.reading.prefill_tok_s = 1000;
  one.reading.step_us = 10'000;
  return one;
}

class PlacementTest : public ::testing::Test {
 protected:
  PlacementStep next(const std::vector<Candidate>& candidates, bool supported = true) {
    return placement_.next(candidates, supported, now_, *policy_, random_);
  }
  uint32_t placed(const std::vector<Candidate>& candidates) {
    const auto step = next(candidates);
    EXPECT_TRUE(std::holds_alternative<PlaceOn>(step));
    last_ = std::get<PlaceOn>(step);
    return last_.worker;
  }
  RefusalKind refused(const std::vector<Candidate>& candidates, bool supported = true) {
    const auto step = next(candidates, supported);
    EXPECT_TRUE(std::holds_alternative<PlaceRefused>(step));
    return std::get<PlaceRefused>(step).kind;
  }

  TimePoint now_{std::chrono::seconds(5)};
  Random random_{1};
  std::unique_ptr<Policy> policy_ = make_least_loaded();
  PlacementLimits limits_;
  Placement placement_{PlacementInput{.prompt_tokens = 10}, limits_};
  PlaceOn last_;
};

TEST_F(PlacementTest, BouncesToTheNextWorkerThenQueues) {
  const std::vector<Candidate> three{candidate(0), candidate(1, 5), candidate(2, 9)};
  EXPECT_EQ(placed(three), 0u);
  EXPECT_FALSE(last_.must_queue);
  placement_.rejected(v1::REJECT_TOO_SLOW, "slow", 0);
  EXPECT_EQ(placed(three), 1u);
  EXPECT_EQ(last_.epoch, 1u);
  placement_.rejected(v1::REJECT_TOO_SLOW, "slow", 0);
  EXPECT_EQ(placed(three), 2u);
  EXPECT_TRUE(last_.must_queue);
  EXPECT_EQ(last_.bounces, 2);
}

TEST_F(PlacementTest, WhileAnybodyHasRoomTheCheapestIsTakenAndElseNobody) {
  std::vector<Candidate> two{candidate(0), candidate(1, 9)};
  two[0].has_room = false;
  EXPECT_EQ(placed(two), 0u) << "what it has of the prompt, and its queue, are in its cost";
  two[1].has_room = false;
  for (int i = 0; i < 10; i++) {  // in line, for as long as it takes
    EXPECT_TRUE(std::holds_alternative<PlaceLater>(next(two)));
    now_ += std::chrono::seconds(5);
  }
  two[1].has_room = true;
  EXPECT_EQ(placed(two), 0u);
}

// Who waits in line has another round before him: the only one with room may be who refused.
TEST_F(PlacementTest, AfterALineWhoRefusedIsAskedAgain) {
  std::vector<Candidate> two{candidate(0), candidate(1, 9)};
  EXPECT_EQ(placed(two), 0u);
  placement_.rejected(v1::REJECT_TOO_SLOW, "slow", 0);
  two[1].has_room = false;
  EXPECT_TRUE(std::holds_alternative<PlaceLater>(next(two)));
  EXPECT_EQ(placed(two), 0u);
}

// Else a worker that has done nothing yet would look slow, and never get anything to do.
TEST_F(PlacementTest, AnUnmeasuredWorkerIsTakenToBeAsFastAsTheFastest) {
  Candidate fast = candidate(0, 0, 100), fresh = candidate(1);
  fast.reading.prefill_tok_s = 5000;
  fresh.reading.prefill_tok_s = 0;
  policy_ = make_cache_aware();
  EXPECT_EQ(placed({fast, fresh}), 1u);
}

TEST_F(PlacementTest, WaitsWhenAllAreFullAndRefusesInTheEnd) {
  const std::vector<Candidate> one{candidate(0)};
  int waits = 0;
  while (true) {
    const auto step = next(one);
    if (std::holds_alternative<PlaceOn>(step)) {
      placement_.rejected(v1::REJECT_QUEUE_FULL, "full", 20);
    } else if (const auto* later = std::get_if<PlaceLater>(&step)) {
      waits++;
      EXPECT_GE(later->delay, limits_.wait_step);
      now_ += later->delay;
      ASSERT_LT(waits, 1000);
    } else {
      EXPECT_EQ(std::get<PlaceRefused>(step).kind, RefusalKind::overloaded);
      EXPECT_GT(std::get<PlaceRefused>(step).retry_after_ms, 0);
      break;
    }
  }
  EXPECT_GT(waits, 0);
}

TEST_F(PlacementTest, SomeRefusalsAreFinal) {
  placed({candidate(0), candidate(1)});
  placement_.rejected(v1::REJECT_TOO_LARGE, "too long", 0);
  EXPECT_EQ(refused({candidate(0), candidate(1)}), RefusalKind::impossible);
}

TEST_F(PlacementTest, WhatOneWorkerCannotDoAnotherMay) {
  placed({candidate(0), candidate(1, 5)});
  placement_.rejected(v1::REJECT_UNSUPPORTED, "an old one", 0);
  EXPECT_EQ(placed({candidate(0), candidate(1, 5)}), 1u);
  placement_.rejected(v1::REJECT_UNSUPPORTED, "an old one", 0);
  EXPECT_EQ(refused({candidate(0), candidate(1, 5)}), RefusalKind::unsupported);
}

TEST_F(PlacementTest, NoWorkerAndNoSupportAreDifferent) {
  EXPECT_EQ(refused({}, true), RefusalKind::no_worker);
  EXPECT_EQ(refused({}, false), RefusalKind::unsupported);
}

TEST_F(PlacementTest, DrainingWorkersAreNotAskedAgain) {
  placed({candidate(0)});
  placement_.rejected(v1::REJECT_DRAINING, "draining", 0);
  EXPECT_EQ(placed({candidate(0), candidate(1)}), 1u);
}

TEST_F(PlacementTest, LossesAreBounded) {
  for (uint32_t worker = 0; worker <= static_cast<uint32_t>(limits_.max_losses); worker++) {
    EXPECT_EQ(placed({candidate(worker)}), worker);
    placement_.lost(LossCause::lane, "killed", now_);
  }
  EXPECT_EQ(refused({candidate(99)}), RefusalKind::failed);
}

TEST_F(PlacementTest, ALostWorkerIsNotTriedAgain) {
  placed({candidate(0)});
  placement_.lost(LossCause::lane, "killed", now_);
  EXPECT_EQ(refused({candidate(0)}), RefusalKind::no_worker);
}

TEST(LeastLoaded, PrefersTheShortestBacklogAndTheFewestSequences) {
  const auto policy = make_least_loaded();
  Random random(1);
  const std::vector<Candidate> by_backlog{candidate(0, 0, 5000), candidate(1, 0, 100),
                                          candidate(2, 0, 9000)};
  EXPECT_EQ(policy->choose(by_backlog, {}, random).index, 1u);
  const std::vector<Candidate> by_sequences{candidate(0, 3), candidate(1, 2), candidate(2, 8)};
  EXPECT_EQ(policy->choose(by_sequences, {}, random).index, 1u);
}

TEST(LeastLoaded, TiesSpread) {
  const auto policy = make_least_loaded();
  Random random(1);
  const std::vector<Candidate> equal{candidate(0), candidate(1), candidate(2), candidate(3)};
  std::vector<int> hits(4);
  for (int i = 0; i < 4000; i++) hits[policy->choose(equal, {}, random).index]++;
  for (const int count : hits) EXPECT_NEAR(count, 1000, 150);
}

TEST(RoundRobin, TakesTurnsById) {
  const auto policy = make_round_robin();
  Random random(1);
  const std::vector<Candidate> all{candidate(2), candidate(5), candidate(9)};
  const size_t first = policy->choose(all, {}, random).index;
  EXPECT_EQ(policy->choose(all, {}, random).index, (first + 1) % 3);
  EXPECT_EQ(policy->choose(all, {}, random).index, (first + 2) % 3);
  EXPECT_EQ(policy->choose(all, {}, random).index, first);
}

TEST(Policies, UnknownNamesListTheKnown) {
  const auto policy = make_policy("best");
  ASSERT_FALSE(policy.ok());
  EXPECT_NE(std::string(policy.status().message())
                .find("cache_aware, least_loaded, power_of_two, consistent_hash, round_robin"),
            std::string::npos);
  for (const auto& name : policy_names()) EXPECT_TRUE(make_policy(name).ok());
}

}  // namespace
}  // namespace bessemer
