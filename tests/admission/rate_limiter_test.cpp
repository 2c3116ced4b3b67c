#include "router/tenants/rate_limiter.h"

#include <gtest/gtest.h>

namespace bessemer::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class RateLimiterTest : public ::testing::Test {
 protected:
  RateLimiterTest() {
    tenant_.id = 7;
    tenant_.requests_per_minute = 6;
    tenant_.tokens_per_minute = 600;
  }
  RateVerdict take(int64_t tokens = 10) { return limiter_.take(tenant_, tokens, now_); }

  Tenant tenant_;
  RateLimiter limiter_;
  TimePoint now_{};
};

TEST_F(RateLimiterTest, WithoutLimitsNothingIsRefused) {
  tenant_.requests_per_minute = tenant_.tokens_per_minute = 0;
  for (int i = 0; i < 1000; i++) ASSERT_FALSE(take(1000).wait);
  EXPECT_EQ(take().states.requests.limit, 0);
}

TEST_F(RateLimiterTest, AMinutesRequestsAndThenOneEachTenSeconds) {
  for (int i = 0; i < 6; i++) {
    const RateVerdict verdict = take();
    ASSERT_FALSE(verdict.wait) << i;
    EXPECT_EQ(verdict.states.requests.limit, 6);
    EXPECT_EQ(verdict.states.requests.left, 5 - i);
    EXPECT_EQ(verdict.states.tokens.left, 590 - 10 * i);
  }
  const RateVerdict refused = take();
  ASSERT_TRUE(refused.wait);
  EXPECT_FALSE(refused.by_tokens);
  EXPECT_NEAR(static_cast<double>(microseconds(*refused.wait)), 10e6, 1);
  EXPECT_NEAR(static_cast<double>(microseconds(refused.states.requests.full_in)), 60e6, 1);
  now_ += *refused.wait + milliseconds(1);
  EXPECT_FALSE(take().wait);
  EXPECT_TRUE(take().wait);
  now_ += minutes(10);
  EXPECT_EQ(take().states.requests.left, 5) << "one minute is kept, not ten";
}

TEST_F(RateLimiterTest, TokensAreLimitedByThemselves) {
  EXPECT_FALSE(take(500).wait);
  const RateVerdict refused = take(200);
  ASSERT_TRUE(refused.wait);
  EXPECT_TRUE(refused.by_tokens);
  EXPECT_NEAR(static_cast<double>(microseconds(*refused.wait)), 10e6, 1);
  EXPECT_FALSE(take(100).wait);
}

TEST_F(RateLimiterTest, APromptLongerThanAMinuteGoesWhenTheBucketIsFull) {
  EXPECT_FALSE(take(5000).wait);
  const RateVerdict refused = take(5000);
  ASSERT_TRUE(refused.wait);
  EXPECT_LE(*refused.wait, minutes(2));
}

TEST_F(RateLimiterTest, WhatOtherRoutersSentCountsToo) {
  take();
  limiter_.given(7, {0, 10, 1});  // that was our own
  EXPECT_EQ(take().states.requests.left, 4);
  limiter_.given(7, {0, 10, 1});
  limiter_.given(7, {0, 50, 3});  // and these were not
  const RateVerdict verdict = take();
  EXPECT_EQ(verdict.states.requests.left, 0);
  EXPECT_EQ(verdict.states.tokens.left, 600 - 30 - 50);
  EXPECT_TRUE(take().wait);
}

TEST_F(RateLimiterTest, ABucketBeginsWithWhatWasGivenLately) {
  const RateVerdict first = limiter_.take(tenant_, 10, now_, {0, 100, 4});
  EXPECT_EQ(first.states.requests.left, 1);
  EXPECT_EQ(first.states.tokens.left, 490);
  EXPECT_EQ(limiter_.take(tenant_, 10, now_, {0, 110, 5}).states.requests.left, 0) << "once";
}

TEST_F(RateLimiterTest, OutputCountsAsItIsReported) {
  take(100);
  limiter_.given(7, {0, 100, 1});
  limiter_.given(7, {0, 450, 0});
  EXPECT_EQ(take(0).states.tokens.left, 50);
  EXPECT_TRUE(take(100).by_tokens);
}

TEST_F(RateLimiterTest, WhatWasNeverGivenToAWorkerIsGivenBack) {
  for (int i = 0; i < 6; i++) take();
  limiter_.cancel(tenant_, 10);
  EXPECT_FALSE(take().wait);
  EXPECT_TRUE(take().wait);
}

TEST_F(RateLimiterTest, ALimitThatWasRaisedHelpsAtOnce) {
  for (int i = 0; i < 6; i++) take();
  EXPECT_TRUE(take().wait);
  tenant_.requests_per_minute = 10;
  for (int i = 0; i < 4; i++) EXPECT_FALSE(take().wait) << i;
  EXPECT_TRUE(take().wait);
}

}  // namespace
}  // namespace bessemer::testing
