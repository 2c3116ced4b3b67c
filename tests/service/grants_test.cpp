#include "worker/service/grants.h"

#include <gtest/gtest.h>

#include "common/random.h"

namespace bessemer::testing {
namespace {

EngineStats busy(double tokens_per_s, int64_t backlog, int32_t waiting = 0) {
  EngineStats stats;
  stats.prefill_tokens_per_s = tokens_per_s;
  stats.backlog_tokens = backlog;
  stats.waiting = waiting;
  return stats;
}

TEST(Grants, TheRoomInTheQueueIsSharedByTheLanes) {
  const GrantLimits limits{.max_waiting = 10};
  const GrantShare idle = share_of_lane(busy(1000, 0), 4, limits);
  EXPECT_EQ(idle.tokens, 50u);  // 200 ms at 1,000 tokens a second, for four
  EXPECT_EQ(idle.attempts, 2u);
  EXPECT_EQ(share_of_lane(busy(1000, 120), 4, limits).tokens, 20u);
  EXPECT_EQ(share_of_lane(busy(1000, 199), 4, limits).tokens, 1u);  // a prompt, however long
  EXPECT_EQ(share_of_lane(busy(1000, 200), 4, limits).tokens, 0u);
  EXPECT_EQ(share_of_lane(busy(1000, 0, 10), 4, limits).attempts, 0u);
  EXPECT_EQ(share_of_lane(busy(0, 0), 2, limits).tokens, 1024u);  // nothing measured yet
}

TEST(Grants, AreRenewedOnceHalfIsBrought) {
  LaneGrant grant;
  EXPECT_TRUE(grant.renew({100, 10}));
  EXPECT_FALSE(grant.renew({100, 10}));
  grant.bring(50);
  EXPECT_FALSE(grant.renew({100, 10}));
  grant.bring(1);
  EXPECT_TRUE(grant.renew({100, 10}));
  EXPECT_EQ(grant.granted().tokens, 151u);
  EXPECT_EQ(grant.granted().attempts, 10u);
  EXPECT_FALSE(grant.renew({0, 0}));
  EXPECT_EQ(grant.granted().tokens, 151u);  // never taken back
}

TEST(Grants, WhatGoesBeyondAGrantIsMadeUpFor) {
  LaneGrant grant;
  grant.renew({1, 5});
  grant.bring(1000);  // a long prompt may begin within the grant and end beyond it
  EXPECT_TRUE(grant.renew({1, 5}));
  EXPECT_EQ(grant.granted().tokens, 1001u);
}

// Routers that bring all they may, prompts of any length, an engine that computes them: the queue
// stays below twice its target and a prompt a lane, and the engine is never idle for want of a
// grant.
TEST(Grants, KeepTheQueueShortAndTheEngineBusy) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    const size_t lanes = static_cast<size_t>(random.between(1, 12));
    const double rate = 100.0 * static_cast<double>(random.between(1, 200));
    const int64_t longest = random.between(1, 2000);
    const GrantLimits limits{.max_waiting = 1 << 20};
    const int64_t target = static_cast<int64_t>(rate * 0.2);
    std::vector<LaneGrant> grants(lanes);
    std::vector<uint64_t> sent(lanes);
    EngineStats stats = busy(rate, 0);
    for (int ms = 0; ms < 5000; ms += 10) {
      for (size_t i = 0; i < lanes; ++i) {
        while (sent[i] < grants[i].granted().tokens) {
          const int64_t prompt = random.between(1, longest);
          grants[i].bring(static_cast<uint64_t>(prompt));
          sent[i] += static_cast<uint64_t>(prompt);
          stats.backlog_tokens += prompt;
        }
        grants[i].renew(share_of_lane(stats, lanes, limits));
      }
      const int64_t bound = 2 * target + static_cast<int64_t>(lanes) * (longest + 1);
      ASSERT_LE(stats.backlog_tokens, bound) << seed;
      if (ms > 100) ASSERT_GT(stats.backlog_tokens, 0) << seed;
      stats.backlog_tokens -= std::min(stats.backlog_tokens, static_cast<int64_t>(rate / 100));
    }
  }
}

}  // namespace
}  // namespace bessemer::testing
