// What each policy chooses, and why.
#include "router/routing/policy.h"

#include <cmath>
#include <map>

#include <gtest/gtest.h>

namespace bessemer {
namespace {

constexpr double kSpeed = 1000;  // prompt tokens a second

Candidate worker(uint32_t id, int64_t backlog = 0, int64_t matched = 0) {
  Candidate one;
  one.worker = id;
  one.backlog_tokens = backlog;
  one.matched_tokens = matched;
  one.block_tokens = 16;
  one.reading.prefill_tok_s = kSpeed;
  one.reading.step_slope_s = 0.001F;
  one.reading.kv_total = one.reading.kv_free = 10'000;
  return one;
}

PlacementInput prompt(int64_t tokens) {
  PlacementInput input;
  input.prompt_tokens = tokens;
  return input;
}

class CacheAwareTest : public ::testing::Test {
 protected:
  Choice choose(const std::vector<Candidate>& candidates, const PlacementInput& input) {
    const Choice choice = policy_->choose(candidates, input, random_);
    policy_->sent(candidates[choice.index], input, candidates.size());
    return choice;
  }
  std::unique_ptr<Policy> policy_ = make_cache_aware();
  Random random_{1};
};

TEST_F(CacheAwareTest, GoesToThePrefixUnlessItsQueueIsLonger) {
  const Choice hit = choose({worker(0), worker(1, 0, 3000)}, prompt(4000));
  EXPECT_EQ(hit.index, 1u);
  EXPECT_EQ(hit.reason, ChoiceReason::prefix);
  EXPECT_NEAR(hit.ttft_seconds, 1, 1e-9);
  EXPECT_NEAR(hit.seconds, 1, 1e-9);
  EXPECT_NEAR(hit.next_seconds, 4, 1e-9);
  const Choice moved = choose({worker(0), worker(1, 20'000, 3000)}, prompt(4000));
  EXPECT_EQ(moved.index, 0u);
  EXPECT_EQ(moved.reason, ChoiceReason::load);
}

// Four seconds to compute here, or a longer queue and one second to compute there.
TEST_F(CacheAwareTest, ProtectsHitsWhenAllAreBusy) {
  const auto with_queues = [](int64_t others, int64_t holders) {
    return std::vector{worker(0, others), worker(1, holders, 3000), worker(2, others)};
  };
  EXPECT_NE(choose(with_queues(0, 3500), prompt(4000)).index, 1u) << "others are idle";
  EXPECT_EQ(choose(with_queues(30'000, 33'500), prompt(4000)).index, 1u);
  EXPECT_EQ(choose(with_queues(0, 1200), prompt(4000)).index, 1u);
}

// Behind ten seconds of long prompts: a short one passes them, a long one would hold up whoever
// comes after it.
TEST_F(CacheAwareTest, ShortPromptsPassAndLongOnesKeepAway) {
  const std::vector<Candidate> workers{worker(0), worker(1, 10'000, 1000)};
  EXPECT_EQ(choose(workers, prompt(1050)).index, 1u) << "0.3 s of wait and 0.55 s for 1.05 s";
  EXPECT_EQ(choose(workers, prompt(9000)).index, 0u) << "10 s of wait and 88 s for 9 s";
}

// No queue tells the workers apart: drawn, some would get twice what others get.
TEST_F(CacheAwareTest, ColdPromptsSpreadByWhatWasSentOfLate) {
  std::vector<Candidate> idle;
  for (uint32_t id = 0; id < 8; id++) idle.push_back(worker(id));
  std::vector<int> hits(8);
  for (int i = 0; i < 80; i++) hits[choose(idle, prompt(1000)).index]++;
  for (const int count : hits) EXPECT_NEAR(count, 10, 2);
  // And is forgotten: a prefix is followed all the same.
  idle[3].matched_tokens = 900;
  for (int i = 0; i < 20; i++) EXPECT_EQ(choose(idle, prompt(1000)).index, 3u);
}

// However much a worker has computed of late: what it has of a prompt is not computed once more.
TEST_F(CacheAwareTest, WhatWasSentOfLateDrivesNoConversationAway) {
  const std::vector<Candidate> first{worker(0)};
  for (int i = 0; i < 20; i++) choose(first, prompt(4000));
  const std::vector<Candidate> two{worker(0, 0, 1000), worker(1)};
  EXPECT_EQ(choose(two, prompt(1000)).index, 0u);
}

// What is asked and then waits, or is refused, burdens nobody.
TEST_F(CacheAwareTest, WhatIsNotSentIsNoCost) {
  const std::vector<Candidate> two{worker(0), worker(1)};
  for (int i = 0; i < 20; i++) {
    EXPECT_NEAR(policy_->choose(two, prompt(1000), random_).seconds, 1, 1e-9);
  }
  choose(two, prompt(1000));
  EXPECT_GT(policy_->choose(two, prompt(1000), random_).next_seconds, 1.01);
}

// One hot worker does not make prompt tokens dear for those who could go to an idle one.
TEST_F(CacheAwareTest, NobodyQueuesForEverBehindAPrefix) {
  EXPECT_EQ(choose({worker(0), worker(1, 600'000, 3000)}, prompt(4000)).index, 0u);
}

TEST_F(CacheAwareTest, CountsWhatItWouldEvict) {
  Candidate full = worker(0), roomy = worker(1);
  full.reading.kv_free = full.reading.kv_cached = 1000;  // all that is free is cache
  const Choice choice = choose({full, roomy}, prompt(1600));
  EXPECT_EQ(choice.index, 1u);
  EXPECT_NEAR(choice.next_seconds - choice.seconds, 0.5 * 1.6, 1e-9);
}

TEST_F(CacheAwareTest, CountsTheCompanyAtItsMeasuredPrice) {
  Candidate crowded = worker(0), costly = worker(1);
  crowded.sequences = 100;
  crowded.reading.step_slope_s = 0.00001F;  // a GPU's
  costly.sequences = 4;
  costly.reading.step_slope_s = 0.005F;  // a CPU's
  EXPECT_EQ(choose({crowded, costly}, prompt(10)).index, 0u);
}

// Who writes a few words only is not driven from its prefix by those who write there.
TEST_F(CacheAwareTest, CountsTheCompanyForAsLongAsItMayLast) {
  Candidate crowded = worker(0, 0, 1000), alone = worker(1);
  crowded.sequences = 200;
  PlacementInput input = prompt(1016);
  EXPECT_EQ(policy_->choose(std::vector{crowded, alone}, input, random_).index, 1u);
  input.max_tokens = 4;
  EXPECT_EQ(policy_->choose(std::vector{crowded, alone}, input, random_).index, 0u);
}

TEST_F(CacheAwareTest, TiesGoToTheSessionThenAreDrawn) {
  PlacementInput input = prompt(100);
  input.last_worker = 2;
  const std::vector<Candidate> equal{worker(0), worker(1), worker(2), worker(3)};
  const Choice kept = choose(equal, input);
  EXPECT_EQ(kept.index, 2u);
  EXPECT_EQ(kept.reason, ChoiceReason::session);
  input.last_worker = 9;  // gone
  std::map<size_t, int> hits;
  for (int i = 0; i < 4000; i++) hits[choose(equal, input).index]++;
  for (const auto& [index, count] : hits) EXPECT_NEAR(count, 1000, 150) << index;
  input.last_worker = 2;
  EXPECT_EQ(choose({worker(0), worker(2, 1000)}, input).index, 0u) << "no tie: a second's wait";
}

TEST_F(CacheAwareTest, OneAloneHasNoRival) {
  const Choice choice = choose({worker(4)}, prompt(10));
  EXPECT_EQ(choice.reason, ChoiceReason::only);
  EXPECT_TRUE(std::isinf(choice.next_seconds));
}

TEST(PowerOfTwo, TakesTheBetterOfTwo) {
  const auto policy = make_power_of_two();
  Random random(1);
  std::vector<int> hits(3);
  const std::vector<Candidate> three{worker(0, 0), worker(1, 5000), worker(2, 9000)};
  for (int i = 0; i < 3000; i++) hits[policy->choose(three, prompt(10), random).index]++;
  EXPECT_NEAR(hits[0], 2000, 150) << "in two of three draws";
  EXPECT_NEAR(hits[1], 1000, 150);
  EXPECT_EQ(hits[2], 0);
}

TEST(ConsistentHash, KeepsSessionsAndMovesFewWhenAWorkerGoes) {
  const auto policy = make_consistent_hash();
  Random random(1);
  std::vector<Candidate> all;
  for (uint32_t id = 0; id < 10; id++) all.push_back(worker(id, 1000 * id));
  std::vector<Candidate> fewer(all.begin(), all.end() - 1);
  int moved = 0;
  std::map<size_t, int> hits;
  for (uint64_t session = 1; session <= 10'000; session++) {
    PlacementInput input = prompt(10);
    input.session = session;
    const size_t first = policy->choose(all, input, random).index;
    hits[first]++;
    EXPECT_EQ(policy->choose(all, input, random).index, first);
    const size_t then = policy->choose(fewer, input, random).index;
    if (first != 9) {
      EXPECT_EQ(then, first);
    }
    moved += then != first;
  }
  EXPECT_NEAR(moved, 1000, 150);
  for (const auto& [index, count] : hits) EXPECT_NEAR(count, 1000, 150) << index;
}

// What a worker may say no to: a prompt is not too slow for its own length.
TEST(Policies, TheFirstTokenWaitsForTheQueueAndForWhatIsMissing) {
  for (const char* name : {"cache_aware", "least_loaded", "power_of_two"}) {
    Random random(1);
    const std::vector<Candidate> only = {worker(0, 500, 1000)};
    const Choice choice = (*make_policy(name))->choose(only, prompt(4000), random);
    EXPECT_NEAR(choice.ttft_seconds, 3.5, 1e-9) << name;
  }
}

}  // namespace
}  // namespace bessemer
