#include "worker/sampling/race.h"

#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "tests/sampling/rows.h"

namespace bessemer {
namespace {

// Upper 1e-6 quantile of chi-square by Wilson and Hilferty: with fixed seeds the test is
// repeatable, not flaky.
double chi_square_limit(double degrees) {
  const double z = 4.753, k = 2.0 / (9 * degrees);
  return degrees * std::pow(1 - k + z * std::sqrt(k), 3);
}

double chi_square(const std::vector<int>& counts, const std::vector<double>& probability,
                  int draws) {
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = probability[i] * draws;
    sum += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  return sum;
}

std::vector<double> softmax(const std::vector<float>& row, double temperature) {
  std::vector<double> p;
  for (const float x : row) p.push_back(std::exp(static_cast<double>(x) / temperature));
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= sum;
  return p;
}

TEST(Race, DrawsTheSoftmaxOverPositionsSeedsAndChoices) {
  const std::vector<float> row = {2.0f, 1.0f, 0.5f, 0.0f, -0.5f, -1.0f, 3.0f, 2.5f, 0.1f};
  constexpr int kDraws = 200'000;
  for (const float temperature : {0.5f, 1.0f, 1.7f}) {
    const std::vector<double> expected = softmax(row, static_cast<double>(temperature));
    for (int axis = 0; axis < 3; ++axis) {
      std::vector<int> counts(row.size());
      for (uint32_t i = 0; i < kDraws; ++i) {
        const NoiseKey key{axis == 0 ? i : 42u, axis == 1 ? i : 0, axis == 2 ? i : 0};
        ++counts[static_cast<size_t>(race_row(row, find_max(row), temperature, key))];
      }
      EXPECT_LT(chi_square(counts, expected, kDraws), chi_square_limit(8)) << temperature << axis;
    }
  }
}

TEST(Race, GumbelHasItsDistribution) {
  // P(g <= x) = exp(-e^-x): in equal bins over the ids of one draw.
  constexpr int kDraws = 1 << 20, kBins = 1024;
  std::vector<int> counts(kBins);
  double highest = 0;
  for (int32_t id = 0; id < kDraws; ++id) {
    const double g = gumbel({7, 1, 2}, id);
    const double share = std::exp(-std::exp(-g));
    ++counts[std::min<size_t>(kBins - 1, static_cast<size_t>(share * kBins))];
    highest = std::max(highest, g);
  }
  EXPECT_LT(chi_square(counts, std::vector<double>(kBins, 1.0 / kBins), kDraws),
            chi_square_limit(kBins - 1));
  EXPECT_LT(highest, kMaxGumbel);
  EXPECT_GT(highest, 10);  // about ln(2^20)
}

TEST(Race, NoiseIsAFunctionOfEveryPartOfItsKey) {
  const double base = gumbel({1, 2, 3}, 4);
  EXPECT_EQ(gumbel({1, 2, 3}, 4), base);
  EXPECT_NE(gumbel({1 | uint64_t{1} << 32, 2, 3}, 4), base);
  EXPECT_NE(gumbel({2, 2, 3}, 4), base);
  EXPECT_NE(gumbel({1, 3, 3}, 4), base);
  EXPECT_NE(gumbel({1, 2, 4}, 4), base);
  EXPECT_NE(gumbel({1, 2, 3}, 5), base);
}

// Without any pruning, straight from the definition.
int32_t naive_race(const std::vector<float>& row, float max, float temperature, NoiseKey key) {
  const float inverse = 1.0f / temperature;
  int32_t winner = -1;
  double best = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < row.size(); ++i) {
    const double score =
        static_cast<double>((row[i] - max) * inverse) + gumbel(key, static_cast<int32_t>(i));
    if (score > best) {
      best = score;
      winner = static_cast<int32_t>(i);
    }
  }
  return winner;
}

TEST(Race, PruningNeverChangesTheWinner) {
  Random random(3);
  for (int round = 0; round < 2000; ++round) {
    const std::vector<float> row =
        random_row(random, 1 + random.below(300), 60 * random.uniform(), random.chance(0.5), 0.1);
    const NoiseKey key{random.next(), static_cast<uint32_t>(random.below(4)),
                       static_cast<uint32_t>(random.below(1000))};
    const RowMax max = find_max(row);
    const float temperature = static_cast<float>(0.1 + 2 * random.uniform());
    const int32_t expected = naive_race(row, max.value, temperature, key);
    ASSERT_EQ(race_row(row, max, temperature, key), expected) << round;

    std::vector<TokenCandidate> candidates;
    for (size_t i = row.size(); i-- > 0;) {  // any order will do
      candidates.push_back({(row[i] - max.value) * (1.0f / temperature), static_cast<int32_t>(i)});
    }
    ASSERT_EQ(race(candidates, key), expected) << round;
  }
}

TEST(Race, LosersDoNotInfluenceTheWinner) {
  Random random(4);
  for (int round = 0; round < 500; ++round) {
    const std::vector<float> row = random_row(random, 64, 6, false, 0);
    const NoiseKey key{random.next(), 0, static_cast<uint32_t>(round)};
    const int32_t winner = race_row(row, find_max(row), 1.0f, key);
    std::vector<TokenCandidate> few;
    for (size_t i = 0; i < row.size(); ++i) {
      const int32_t id = static_cast<int32_t>(i);
      if (id == winner || random.chance(0.3)) few.push_back({row[i], id});
    }
    EXPECT_EQ(race(few, key), winner);
  }
}

}  // namespace
}  // namespace bessemer
