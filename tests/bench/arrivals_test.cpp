#include "bench/common/arrivals.h"

#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bessemer::bench {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(PoissonArrivals, HaveTheRateAndTheSpreadOfOne) {
  constexpr size_t kCount = 100'000;
  constexpr double kRate = 8;
  Random random(1);
  const std::vector<double> at = poisson_arrivals(kRate, kCount, random);
  ASSERT_EQ(at.size(), kCount);
  EXPECT_TRUE(std::ranges::is_sorted(at));
  double sum = 0, squares = 0;
  for (size_t i = 1; i < kCount; ++i) {
    const double gap = at[i] - at[i - 1];
    sum += gap;
    squares += gap * gap;
  }
  const double mean = sum / (kCount - 1), variance = squares / (kCount - 1) - mean * mean;
  EXPECT_NEAR(mean * kRate, 1, 0.02) << "five standard errors of a mean over 100,000";
  EXPECT_NEAR(std::sqrt(variance) * kRate, 1, 0.03) << "exponential: the deviation is the mean";
}

TEST(PoissonArrivals, AreTheSameForTheSameSeed) {
  Random one(7), same(7), other(8);
  const auto arrivals = poisson_arrivals(1, 50, one);
  EXPECT_EQ(arrivals, poisson_arrivals(1, 50, same));
  EXPECT_NE(arrivals, poisson_arrivals(1, 50, other));
}

Trace trace_at(std::vector<double> seconds, double quantum_s) {
  Trace trace;
  for (const double at : seconds)
    trace.requests.push_back({.at_s = at, .input_tokens = 1, .output_tokens = 1, .blocks = {}});
  trace.quantum_s = quantum_s;
  return trace;
}

TEST(TraceArrivals, BeginAtZeroAndGoRoundAndRound) {
  Random random(1);
  EXPECT_THAT(trace_arrivals(trace_at({5, 6, 8}, 0), 5, random), ElementsAre(0, 1, 3, 3, 4));
  EXPECT_THAT(trace_arrivals(Trace{}, 5, random), IsEmpty());
}

TEST(TraceArrivals, AreJitteredWithinTheirQuantum) {
  Random random(3);
  const auto at = trace_arrivals(trace_at(std::vector<double>(1000, 6.0), 3), 1000, random);
  EXPECT_TRUE(std::ranges::is_sorted(at));
  EXPECT_GE(at.front(), 0);
  EXPECT_LT(at.back(), 3);
  EXPECT_NEAR(at[500], 1.5, 0.2) << "uniformly";
}

}  // namespace
}  // namespace bessemer::bench
