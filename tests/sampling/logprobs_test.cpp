#include <algorithm>
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "tests/sampling/rows.h"
#include "worker/sampling/sampler.h"

namespace bessemer {
namespace {

TEST(Logprobs, EqualTheSortedSoftmax) {
  Random random(30);
  for (int round = 0; round < 300; ++round) {
    const bool ties = random.chance(0.5);
    const std::vector<float> row = random_row(random, 1 + random.below(500), 10, ties, 0.05);
    std::vector<TokenCandidate> sorted;
    double sum = 0;
    for (size_t i = 0; i < row.size(); ++i) {
      sorted.push_back({row[i], static_cast<int32_t>(i)});
      sum += std::exp(static_cast<double>(row[i]));
    }
    std::ranges::sort(sorted, likelier);
    const int32_t target = static_cast<int32_t>(random.below(row.size()));
    const int32_t top = static_cast<int32_t>(random.below(21));
    const std::vector<Logprob> scores = score_row(row, target, top);

    ASSERT_EQ(scores.size(), 1 + std::min(static_cast<size_t>(top), row.size()));
    EXPECT_EQ(scores[0].token, target);
    EXPECT_EQ(sorted[static_cast<size_t>(scores[0].rank) - 1].id, target);
    for (size_t i = 0; i < scores.size(); ++i) {
      const TokenCandidate& place =
          i == 0 ? sorted[static_cast<size_t>(scores[0].rank) - 1] : sorted[i - 1];
      EXPECT_EQ(scores[i].token, place.id);
      if (i > 0) EXPECT_EQ(scores[i].rank, static_cast<int32_t>(i));
      const double exact = static_cast<double>(place.logit) - std::log(sum);
      if (place.logit == kImpossible)
        EXPECT_EQ(scores[i].value, kImpossible);
      else
        EXPECT_NEAR(static_cast<double>(scores[i].value), exact, 2e-6);
    }
  }
}

TEST(Logprobs, AreEmptyForARowThatIsNotADistribution) {
  EXPECT_TRUE(score_row(std::vector<float>{1, NAN, 2}, 0, 1).empty());
  EXPECT_TRUE(score_row(std::vector<float>{1, INFINITY}, 0, 1).empty());
  EXPECT_TRUE(score_row(std::vector<float>(20, kImpossible), 0, 1).empty());
  EXPECT_TRUE(score_row(std::vector<float>{1, 2}, 2, 1).empty());
}

TEST(Logprobs, FindMaxSeesNanInEveryPlace) {
  for (size_t size = 1; size < 40; ++size) {
    for (size_t at = 0; at < size; ++at) {
      std::vector<float> row(size, 1.0f);
      row[at] = NAN;
      EXPECT_FALSE(find_max(row).usable) << size << " " << at;
      row[at] = 5.0f;
      EXPECT_EQ(find_max(row).id, static_cast<int32_t>(at));
      EXPECT_TRUE(find_max(row).usable);
    }
  }
}

}  // namespace
}  // namespace bessemer
