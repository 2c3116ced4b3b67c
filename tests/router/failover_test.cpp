// The pure parts of failover: whom a prompt stays away from, who is suspected, who goes first.
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "router/routing/placement.h"
#include "router/routing/resume_pacer.h"

namespace bessemer {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Candidate candidate(uint32_t worker, uint64_t incarnation = 1, int64_t sequences = 0) {
  Candidate one;
  one.worker = worker;
  one.incarnation = incarnation;
  one.sequences = sequences;
  one.reading.prefill_tok_s = 1000;
  one.reading.step_us = 10'000;
  return one;
}

class FailoverTest : public ::testing::Test {
 protected:
  PlacementStep next(const std::vector<Candidate>& candidates) {
    return placement_.next(candidates, true, now_, *policy_, random_);
  }
  PlaceOn placed(const std::vector<Candidate>& candidates) {
    const auto step = next(candidates);
    EXPECT_TRUE(std::holds_alternative<PlaceOn>(step));
    return std::holds_alternative<PlaceOn>(step) ? std::get<PlaceOn>(step) : PlaceOn{};
  }
  bool waits(const std::vector<Candidate>& candidates) {
    return std::holds_alternative<PlaceLater>(next(candidates));
  }
  // Lost with output: it goes on elsewhere.
  void lose(LossCause cause, int64_t tokens = 100) {
    placement_.progressed(tokens);
    placement_.lost(cause, "gone", now_);
    placement_.resume(10 + tokens, now_);
  }

  TimePoint now_{seconds(5)};
  Random random_{1};
  std::unique_ptr<Policy> policy_ = make_least_loaded();
  PlacementLimits limits_;
  Placement placement_{PlacementInput{.prompt_tokens = 10}, limits_};
};

TEST_F(FailoverTest, AResumeGoesToAnotherWorkerAtOnceAndQueues) {
  EXPECT_EQ(placed({candidate(0), candidate(1, 1, 5)}).worker, 0u);
  lose(LossCause::crash);
  const PlaceOn there = placed({candidate(0), candidate(1, 1, 5)});
  EXPECT_EQ(there.worker, 1u);
  EXPECT_EQ(there.epoch, 1u);
  EXPECT_TRUE(there.must_queue);
  EXPECT_EQ(there.max_est_ttft_us, 0u);
}

TEST_F(FailoverTest, AWorkerThatCameBackAsAnotherProcessIsAnotherWorker) {
  placed({candidate(0, 7)});
  lose(LossCause::crash);
  EXPECT_TRUE(waits({candidate(0, 7)}));
  EXPECT_EQ(placed({candidate(0, 8)}).worker, 0u);
}

TEST_F(FailoverTest, TheSameProcessIsALastResortAndLaterEachTime) {
  placed({candidate(0)});
  lose(LossCause::stuck);
  EXPECT_TRUE(waits({candidate(0)}));
  now_ += limits_.second_chance;
  EXPECT_EQ(placed({candidate(0), candidate(1, 1, 50)}).worker, 1u);  // not while others are there
  lose(LossCause::stuck);
  EXPECT_EQ(placed({candidate(0)}).worker, 0u);
  Duration kept_away = 2 * limits_.second_chance;
  for (int i = 0; i < 4; i++, kept_away *= 2) {
    lose(LossCause::stuck, 0);  // again, and no output in between
    now_ += kept_away - milliseconds(1);
    EXPECT_TRUE(waits({candidate(0)})) << i;
    now_ += milliseconds(1);
    EXPECT_EQ(placed({candidate(0)}).worker, 0u) << i;
  }
}

TEST_F(FailoverTest, WhoWillNeverTakeItIsNotAskedAgain) {
  placed({candidate(0)});
  lose(LossCause::crash);
  EXPECT_EQ(placed({candidate(1)}).worker, 1u);
  placement_.rejected(v1::REJECT_WRONG_CARD, "another model", 0);
  for (int i = 0; i < 5; i++, now_ += seconds(10)) EXPECT_TRUE(waits({candidate(1)}));
}

TEST_F(FailoverTest, OutputClearsWhatIsHeldAgainstAWorker) {
  for (int i = 0; i < 50; i++) {
    EXPECT_EQ(placed({candidate(0)}).worker, 0u) << i;
    lose(LossCause::lane);
    now_ += limits_.second_chance;
  }
}

TEST_F(FailoverTest, AResumeWaitsForItsDeadlineWhateverThereIs) {
  placed({candidate(0)});
  lose(LossCause::crash);
  const TimePoint lost = now_;
  int bounces = 0;
  while (true) {
    const auto step =
        next(random_.chance(0.5) ? std::vector{candidate(1)} : std::vector<Candidate>{});
    if (std::holds_alternative<PlaceOn>(step)) {
      placement_.rejected(v1::REJECT_QUEUE_FULL, "full", 10);
      bounces++;
    } else if (const auto* later = std::get_if<PlaceLater>(&step)) {
      now_ += later->delay;
    } else {
      break;
    }
    ASSERT_LT(bounces, 100'000);
  }
  EXPECT_GE(now_ - lost, limits_.resume_wait);
  EXPECT_LT(now_ - lost, limits_.resume_wait + limits_.max_wait);
  EXPECT_GT(bounces, limits_.max_bounces);
}

// Five choices have one token each: none of them has come past its first steps.
TEST_F(FailoverTest, EveryChoiceHasFirstTokens) {
  Placement many{PlacementInput{.prompt_tokens = 10, .choices = 5}, limits_};
  for (uint32_t worker = 0; worker < 2; worker++) {
    EXPECT_TRUE(std::holds_alternative<PlaceOn>(
        many.next(std::vector{candidate(worker)}, true, now_, *policy_, random_)));
    many.progressed(5);
    many.lost(LossCause::crash, "gone", now_);
    many.resume(15, now_);
  }
  EXPECT_TRUE(many.suspect());
}

TEST_F(FailoverTest, OtherNumericsOnlyWhereNoneOfItsOwnIsLeft) {
  placed({candidate(0)});
  lose(LossCause::crash);
  Candidate other = candidate(2);
  other.same_numerics = false;
  EXPECT_EQ(placed({candidate(1, 1, 90), other}).worker, 1u);
  placement_.rejected(v1::REJECT_QUEUE_FULL, "full", 10);
  EXPECT_TRUE(waits({candidate(1, 1, 90), other}));  // it is there, though it is full
  EXPECT_EQ(placed({other}).worker, 2u);
}

// What both write is compared, so both must write the same.
TEST_F(FailoverTest, WhatMovesStaysWithItsNumerics) {
  placed({candidate(0)});
  placement_.progressed(100);
  Placement moving = placement_;
  moving.move(110, now_);
  Candidate other = candidate(2);
  other.same_numerics = false;
  const auto step = [&](const std::vector<Candidate>& candidates) {
    return moving.next(candidates, true, now_, *policy_, random_);
  };
  EXPECT_TRUE(std::holds_alternative<PlaceLater>(step({other})));
  EXPECT_TRUE(std::holds_alternative<PlaceOn>(step({other, candidate(1)})));
  moving.lost(LossCause::crash, "gone", now_);
  moving.resume(120, now_);
  EXPECT_TRUE(std::holds_alternative<PlaceOn>(step({other})));
}

TEST_F(FailoverTest, LossesWithoutOutputAreBounded) {
  for (int32_t i = 0; i <= limits_.max_losses; i++) {
    EXPECT_EQ(placed({candidate(0, static_cast<uint64_t>(i))}).worker, 0u);
    lose(LossCause::protocol, 0);
  }
  const auto step = next({candidate(99)});
  ASSERT_TRUE(std::holds_alternative<PlaceRefused>(step));
  EXPECT_EQ(std::get<PlaceRefused>(step).kind, RefusalKind::failed);
}

TEST_F(FailoverTest, ASuspectRunsAloneAndOnlyThenIsPoison) {
  for (uint64_t life = 1; life <= 2; life++) {
    EXPECT_FALSE(placed({candidate(0, life)}).alone);
    placement_.lost(LossCause::crash, "gone", now_);
  }
  EXPECT_TRUE(placement_.suspect());
  EXPECT_TRUE(waits({candidate(0, 3, 1)}));  // somebody is there
  EXPECT_TRUE(placed({candidate(0, 3)}).alone);
  placement_.lost(LossCause::crash, "gone", now_);
  const auto step = next({candidate(0, 4)});
  ASSERT_TRUE(std::holds_alternative<PlaceRefused>(step));
  EXPECT_EQ(std::get<PlaceRefused>(step).kind, RefusalKind::poison);
}

TEST_F(FailoverTest, FirstStepsClearASuspicion) {
  for (uint64_t life = 1; life <= 2; life++) {
    placed({candidate(0, life)});
    placement_.lost(LossCause::crash, "gone", now_);
  }
  placed({candidate(0, 3)});
  placement_.progressed(LossRecord::kFirstTokens);
  EXPECT_TRUE(placement_.suspect());
  placement_.progressed(1);
  EXPECT_FALSE(placement_.suspect());
}

// F3, P2: a prompt that crashes no worker is never poison, whatever befalls those it is on; and
// placing it ends.
TEST(FailoverBySeed, NoInnocentIsPoisonAndEveryRoundEnds) {
  for (uint64_t seed = 1; seed <= 500; seed++) {
    Random random(seed);
    const auto policy = make_least_loaded();
    Placement placement(PlacementInput{.prompt_tokens = 10}, {});
    TimePoint now{seconds(1)};
    std::vector<uint64_t> lives(4, 1);
    std::vector<int64_t> company(4, 0);
    bool output = false;
    int placements = 0, waits = 0;
    while (placements < 50) {
      std::vector<Candidate> there;
      for (uint32_t w = 0; w < lives.size(); w++) {
        company[w] = static_cast<int64_t>(random.below(3));
        if (random.chance(0.8)) there.push_back(candidate(w, lives[w], company[w]));
      }
      const auto step = placement.next(there, true, now, *policy, random);
      if (const auto* refused = std::get_if<PlaceRefused>(&step)) {
        ASSERT_NE(refused->kind, RefusalKind::poison) << "seed " << seed;
        break;
      }
      if (const auto* later = std::get_if<PlaceLater>(&step)) {
        now += later->delay;
        ASSERT_LT(waits++, 2000) << "seed " << seed;
        continue;
      }
      placements++;
      waits = 0;
      const auto& place = std::get<PlaceOn>(step);
      ASSERT_TRUE(!place.alone || company[place.worker] == 0) << "seed " << seed;
      const int64_t tokens = static_cast<int64_t>(random.below(10));
      if (tokens > 0) placement.progressed(tokens);
      output = output || tokens > 0;
      // Others bring the worker down; never while this one is alone there.
      const auto cause = static_cast<LossCause>(random.below(kLossCauses));
      if (place.alone && cause == LossCause::crash) break;
      if (cause == LossCause::crash) lives[place.worker]++;
      placement.lost(cause, "gone", now);
      if (output) placement.resume(10, now);
    }
  }
}

TEST(ResumePacer, ShortestFirstWithinTheBudget) {
  ResumePacer pacer;
  const auto large = pacer.enter(900), small = pacer.enter(10), middle = pacer.enter(90),
             small_too = pacer.enter(10);
  EXPECT_EQ(pacer.release(100), (std::vector{small, small_too}));
  EXPECT_TRUE(pacer.release(100).empty());
  pacer.leave(small);
  EXPECT_EQ(pacer.release(100), (std::vector{middle}));
  pacer.leave(middle);
  pacer.leave(small_too);
  EXPECT_EQ(pacer.release(100), (std::vector{large}));  // alone
  pacer.leave(large);
  EXPECT_EQ(pacer.tokens_on_their_way(), 0);
  EXPECT_FALSE(pacer.anyone_waits());
}

TEST(ResumePacer, BySeed) {
  for (uint64_t seed = 1; seed <= 200; seed++) {
    Random random(seed);
    ResumePacer pacer;
    std::map<ResumePacer::Ticket, int64_t> waiting, going;
    for (int i = 0; i < 400; i++) {
      if (random.chance(0.4)) {
        const auto tokens = static_cast<int64_t>(1 + random.below(500));
        waiting[pacer.enter(tokens)] = tokens;
      } else if (!going.empty() && random.chance(0.7)) {
        pacer.leave(going.begin()->first);
        going.erase(going.begin());
      } else if (!waiting.empty() && random.chance(0.2)) {
        pacer.leave(waiting.begin()->first);
        waiting.erase(waiting.begin());
      }
      for (const auto ticket : pacer.release(600)) {
        ASSERT_TRUE(waiting.contains(ticket)) << "seed " << seed;  // RP3
        for (const auto& [other, tokens] : waiting) ASSERT_GE(tokens, waiting[ticket]);
        going[ticket] = waiting[ticket];
        waiting.erase(ticket);
        int64_t sum = 0;
        for (const auto& [other, tokens] : going) sum += tokens;
        ASSERT_TRUE(sum <= 600 || going.size() == 1) << "seed " << seed;
      }
      ASSERT_TRUE(waiting.empty() || !going.empty()) << "seed " << seed;  // RP2: never idle
      ASSERT_EQ(pacer.waiting(), waiting.size());
    }
  }
}

}  // namespace
}  // namespace bessemer
