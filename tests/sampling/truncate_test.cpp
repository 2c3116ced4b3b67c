#include "worker/sampling/truncate.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "tests/sampling/rows.h"

namespace bessemer {
namespace {

// The definitions, by full sorts in double precision.
class Oracle {
 public:
  Oracle(const std::vector<float>& row, const SamplingParams& params) {
    for (size_t i = 0; i < row.size(); ++i) {
      if (row[i] != kImpossible) left_.push_back({row[i], static_cast<int32_t>(i)});
    }
    std::sort(left_.begin(), left_.end(), likelier);
    if (params.top_k > 0) left_.resize(std::min(left_.size(), static_cast<size_t>(params.top_k)));
    temperature_ = static_cast<double>(params.temperature);
    if (params.typical_p < 1) typical(static_cast<double>(params.typical_p));
    if (params.top_p < 1) top_p(static_cast<double>(params.top_p));
    if (params.min_p > 0) min_p(static_cast<double>(params.min_p));
  }
  std::set<int32_t> ids() const {
    std::set<int32_t> ids;
    for (const TokenCandidate& candidate : left_) ids.insert(candidate.id);
    return ids;
  }
  // The closest call: how near a decision was to its threshold. Float rounding may decide those the
  // other way.
  double margin() const { return margin_; }

 private:
  double weight(const TokenCandidate& c) const {
    return std::exp((static_cast<double>(c.logit) - max_) / temperature_);
  }
  // Before each stage: weights are relative to the likeliest that is left.
  void measure() {
    max_ = static_cast<double>(std::min_element(left_.begin(), left_.end(), likelier)->logit);
  }
  double total() const {
    double sum = 0;
    for (const TokenCandidate& c : left_) sum += weight(c);
    return sum;
  }
  void keep_mass(double mass) {
    double sum = 0;
    size_t kept = 0;
    while (kept < left_.size() && sum < mass) {
      sum += weight(left_[kept++]);
      margin_ = std::min(margin_, std::abs(sum - mass) / mass);
    }
    left_.resize(kept);
  }
  void top_p(double p) {
    measure();
    std::sort(left_.begin(), left_.end(), likelier);
    keep_mass(p * total());
  }
  void typical(double p) {
    measure();
    const double sum = total();
    double entropy = 0;
    for (const TokenCandidate& c : left_) entropy -= weight(c) / sum * std::log(weight(c) / sum);
    const auto distance = [&](const TokenCandidate& c) {
      return std::abs(-std::log(weight(c) / sum) - entropy);
    };
    std::sort(left_.begin(), left_.end(), [&](const TokenCandidate& a, const TokenCandidate& b) {
      return distance(a) != distance(b) ? distance(a) < distance(b) : a.id < b.id;
    });
    for (size_t i = 1; i < left_.size(); ++i) {
      if (left_[i].logit != left_[i - 1].logit) {
        margin_ = std::min(margin_, distance(left_[i]) - distance(left_[i - 1]));
      }
    }
    keep_mass(p * sum);
  }
  void min_p(double p) {
    measure();
    std::erase_if(left_, [&](const TokenCandidate& c) {
      const double share = std::exp((static_cast<double>(c.logit) - max_) / temperature_);
      margin_ = std::min(margin_, std::abs(share - p) / p);
      return share < p;
    });
  }

  std::vector<TokenCandidate> left_;
  double temperature_ = 1;
  double max_ = 0, margin_ = 1;
};

std::set<int32_t> survivors(const std::vector<float>& row, const SamplingParams& params) {
  std::vector<TokenCandidate> kept;
  truncate(row, find_max(row), params, kept);
  std::set<int32_t> ids;
  for (const TokenCandidate& candidate : kept) ids.insert(candidate.id);
  EXPECT_EQ(ids.size(), kept.size());
  return ids;
}

void compare_with_oracle(Random& random, const SamplingParams& params, size_t size) {
  const bool ties = random.chance(0.3);
  const std::vector<float> row = random_row(random, size, 2 + 20 * random.uniform(), ties, 0.05);
  const Oracle oracle(row, params);
  if (oracle.margin() < 1e-5) return;  // float32 logits cannot tell
  EXPECT_EQ(survivors(row, params), oracle.ids())
      << "top_k " << params.top_k << " top_p " << params.top_p << " min_p " << params.min_p
      << " typical_p " << params.typical_p << " T " << params.temperature << " size " << size;
}

float share(Random& random) {
  return static_cast<float>(0.001 + 0.998 * random.uniform());
}

TEST(Truncate, TopK) {
  Random random(10);
  for (int round = 0; round < 500; ++round) {
    compare_with_oracle(random, {.top_k = static_cast<int32_t>(1 + random.below(40))}, 400);
  }
  for (int round = 0; round < 20; ++round) {  // beyond the heap
    compare_with_oracle(random, {.top_k = static_cast<int32_t>(1000 + random.below(100))}, 5000);
  }
}
TEST(Truncate, TopP) {
  Random random(11);
  for (int round = 0; round < 500; ++round) {
    compare_with_oracle(random, {.top_p = share(random)}, 1 + random.below(3000));
  }
}
TEST(Truncate, MinP) {
  Random random(12);
  for (int round = 0; round < 500; ++round)
    compare_with_oracle(random, {.min_p = share(random)}, 300);
}
TEST(Truncate, TypicalP) {
  Random random(13);
  for (int round = 0; round < 500; ++round) {
    compare_with_oracle(random, {.typical_p = share(random)}, 1 + random.below(300));
  }
}
TEST(Truncate, AllTogetherInTheStatedOrder) {
  Random random(14);
  for (int round = 0; round < 2000; ++round) {
    SamplingParams params;
    params.temperature = static_cast<float>(0.2 + 2 * random.uniform());
    if (random.chance(0.5)) params.top_k = static_cast<int32_t>(1 + random.below(100));
    if (random.chance(0.5)) params.top_p = share(random);
    if (random.chance(0.5)) params.min_p = 0.2f * share(random);
    if (random.chance(0.5)) params.typical_p = share(random);
    compare_with_oracle(random, params, 1 + random.below(400));
  }
}

TEST(Truncate, TiesKeepTheLowerId) {
  const std::vector<float> row(10, 1.0f);
  EXPECT_EQ(survivors(row, {.top_k = 3}), (std::set<int32_t>{0, 1, 2}));
  EXPECT_EQ(survivors(row, {.top_p = 0.35f}), (std::set<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(survivors(row, {.typical_p = 0.15f}), (std::set<int32_t>{0, 1}));
}

TEST(Truncate, OrderMattersAndIsAsStated) {
  // After top_k = 2 the two left weigh 0.5 each, so top_p = 0.5 keeps one; over all four it would
  // keep two.
  const std::vector<float> row = {1.0f, 1.0f, 1.0f, 1.0f};
  EXPECT_EQ(survivors(row, {.top_p = 0.5f, .top_k = 2}), (std::set<int32_t>{0}));
  EXPECT_EQ(survivors(row, {.top_p = 0.5f}), (std::set<int32_t>{0, 1}));
}

TEST(Truncate, SomethingAlwaysSurvives) {
  const std::vector<float> row = {kImpossible, 3.0f, kImpossible, -100.0f};
  EXPECT_EQ(survivors(row, {.top_p = 1e-6f, .min_p = 1.0f, .typical_p = 1e-6f, .top_k = 1}),
            (std::set<int32_t>{1}));
}

}  // namespace
}  // namespace bessemer
