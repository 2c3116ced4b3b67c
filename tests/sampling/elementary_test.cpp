#include "worker/sampling/elementary.h"

#include <cmath>

#include <gtest/gtest.h>

#include "common/random.h"

namespace bessemer {
namespace {

TEST(Elementary, ExpIsWithinItsStatedError) {
  for (float x = 0; x > -87.0f; x -= 0.00371f) {
    const double exact = std::exp(static_cast<double>(x));
    EXPECT_NEAR(static_cast<double>(exp_nonpositive(x)) / exact, 1.0, 2e-7) << x;
  }
  EXPECT_EQ(exp_nonpositive(0.0f), 1.0f);
}

TEST(Elementary, ExpOfTheImpossibleIsZero) {
  EXPECT_EQ(exp_nonpositive(-87.5f), 0.0f);
  EXPECT_EQ(exp_nonpositive(-1e30f), 0.0f);
  EXPECT_EQ(exp_nonpositive(-INFINITY), 0.0f);
}

TEST(Elementary, LogIsWithinItsStatedError) {
  Random random(1);
  for (int i = 0; i < 100'000; ++i) {
    const double x = std::exp((random.uniform() - 0.5) * 100);
    EXPECT_NEAR(log_positive(x), std::log(x), 1e-14 * std::max(1.0, std::abs(std::log(x)))) << x;
  }
  EXPECT_EQ(log_positive(1.0), 0.0);
  // Just below 1, where the exponential race finds its winners.
  for (int k = 1; k <= 33; ++k) {
    const double x = 1 - std::ldexp(1.0, -k);
    EXPECT_NEAR(log_positive(x) / std::log(x), 1.0, 1e-14) << k;
  }
}

}  // namespace
}  // namespace bessemer
