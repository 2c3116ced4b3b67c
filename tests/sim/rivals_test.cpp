// The rivals' scores by numbers worked out from what is documented of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/rivals/rival.h"

namespace bessemer::sim {
namespace {

using testing::HasSubstr;

constexpr int32_t kBlock = 512;

Candidate candidate(uint32_t worker, int64_t matched_blocks = 0) {
  Candidate one;
  one.worker = worker;
  one.block_tokens = kBlock;
  one.matched_tokens = matched_blocks * kBlock;
  one.reading.kv_total = one.reading.kv_free = 100;
  return one;
}

PlacementInput prompt(int64_t blocks) {
  PlacementInput input;
  input.prompt_tokens = blocks * kBlock;
  return input;
}

std::vector<uint64_t> blocks(uint64_t first, size_t count) {
  std::vector<uint64_t> hashes;
  for (size_t i = 0; i < count; ++i) hashes.push_back(first + i);
  return hashes;
}

class RivalTest : public ::testing::Test {
 protected:
  size_t choose(Contender& rival, const std::vector<Candidate>& candidates,
                const PlacementInput& input) {
    return rival.policy->choose(candidates, input, random_).index;
  }
  void place(Contender& rival, uint64_t request, const Candidate& where,
             const std::vector<uint64_t>& hashes) {
    rival.follower->asks(hashes, now_);
    rival.follower->placed(request, where, prompt(static_cast<int64_t>(hashes.size())));
  }

  Random random_{1};
  TimePoint now_{};
};

TEST_F(RivalTest, LlmDWeighsPrefixThreeQueueAndUsageTwo) {
  Contender rival = make_llm_d();
  std::vector<Candidate> workers{candidate(0, 6), candidate(1, 0)};
  // 3 x 0.6 + 2 x 0 against 2 x 1: the queue wins; with 0.7 the prefix does.
  workers[0].reading.waiting = 1;
  EXPECT_EQ(choose(rival, workers, prompt(10)), 1u);
  workers[0].matched_tokens = 7 * kBlock;
  EXPECT_EQ(choose(rival, workers, prompt(10)), 0u);
  // 0.1 more is lost with 6 % of the KV cache in use: 3 x 0.7 - 2 x 0.06 < 2.
  workers[0].reading.kv_free = 94;
  EXPECT_EQ(choose(rival, workers, prompt(10)), 1u);
}

TEST_F(RivalTest, LlmDSpreadsColdPrompts) {
  Contender rival = make_llm_d();
  const std::vector<Candidate> workers{candidate(0), candidate(1), candidate(2)};
  std::vector<size_t> hits(3);
  for (int i = 0; i < 9; ++i) ++hits[choose(rival, workers, prompt(10))];
  EXPECT_THAT(hits, testing::Each(3u));
}

TEST_F(RivalTest, DynamoAddsPrefillAndDecodeBlocks) {
  Contender rival = make_dynamo();
  const std::vector<Candidate> workers{candidate(0, 4), candidate(1, 0)};
  const auto asked = blocks(100, 10);
  rival.follower->asks(asked, now_);
  EXPECT_EQ(choose(rival, workers, prompt(10)), 0u) << "6 + 11 against 10 + 11";
  place(rival, 1, candidate(0), blocks(500, 3));
  rival.follower->asks(asked, now_);
  EXPECT_EQ(choose(rival, workers, prompt(10)), 1u) << "3 + 6 + 4 + 11 against 10 + 11";
  rival.follower->ended(1);
  rival.follower->asks(asked, now_);
  EXPECT_EQ(choose(rival, workers, prompt(10)), 0u) << "as in the beginning";
}

TEST_F(RivalTest, DynamoCountsABlockThatTwoRequestsShareOnce) {
  Contender rival = make_dynamo();
  place(rival, 1, candidate(0), blocks(100, 10));
  place(rival, 2, candidate(1), blocks(900, 10));
  rival.follower->first_token(1);
  rival.follower->first_token(2);
  rival.follower->asks(blocks(100, 10), now_);
  const std::vector<Candidate> workers{candidate(0), candidate(1)};
  EXPECT_EQ(choose(rival, workers, prompt(10)), 0u) << "12 blocks live there then, 22 on the other";
}

TEST_F(RivalTest, SglangFollowsItsTreeAboveTheThreshold) {
  Contender rival = make_sglang();
  const std::vector<Candidate> workers{candidate(0), candidate(1)};
  place(rival, 1, candidate(1), blocks(100, 10));
  rival.follower->asks(blocks(100, 10), now_);
  EXPECT_EQ(choose(rival, workers, prompt(10)), 1u);
  auto a_third = blocks(100, 4);
  for (const uint64_t other : blocks(700, 6)) a_third.push_back(other);
  rival.follower->asks(a_third, now_);
  EXPECT_EQ(choose(rival, workers, prompt(10)), 1u) << "0.4 of it";
  a_third[3] = 1;
  rival.follower->asks(a_third, now_);
  EXPECT_EQ(choose(rival, workers, prompt(10)), 0u) << "0.3 of it: to the smallest tree";
}

TEST_F(RivalTest, SglangBalancesOnceCountsDifferTooMuch) {
  Contender rival = make_sglang();
  const std::vector<Candidate> workers{candidate(0), candidate(1)};
  for (uint64_t request = 0; request < 64; ++request) {
    place(rival, request, candidate(1), blocks(100, 10));
  }
  rival.follower->asks(blocks(100, 10), now_);
  EXPECT_EQ(choose(rival, workers, prompt(10)), 1u) << "64 more is not more than 64";
  place(rival, 64, candidate(1), blocks(100, 10));
  rival.follower->asks(blocks(100, 10), now_);
  EXPECT_EQ(choose(rival, workers, prompt(10)), 0u);
  rival.follower->ended(64);
  rival.follower->asks(blocks(100, 10), now_);
  EXPECT_EQ(choose(rival, workers, prompt(10)), 1u);
}

TEST_F(RivalTest, SglangForgetsTheOldestBeyondItsTree) {
  Contender rival = make_sglang();
  const std::vector<Candidate> workers{candidate(0), candidate(1)};
  // 2^26 characters are 32,768 blocks.
  place(rival, 1, candidate(1), blocks(1'000'000, 100));
  now_ += std::chrono::seconds(121);
  place(rival, 2, candidate(1), blocks(2'000'000, 32'750));
  rival.follower->asks(blocks(1'000'000, 100), now_);
  EXPECT_EQ(choose(rival, workers, prompt(100)), 0u) << "18 of its 100 blocks are left";
}

TEST(Contenders, UnknownNamesListTheKnown) {
  EXPECT_TRUE(make_contender("least_loaded").ok());
  EXPECT_TRUE(make_contender("dynamo").ok());
  const auto unknown = make_contender("best");
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("sglang"));
}

}  // namespace
}  // namespace bessemer::sim
