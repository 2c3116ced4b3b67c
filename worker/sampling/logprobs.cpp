// Log-probabilities of the model's own distribution: what the API reports, before bias, temperature
// and truncation.
#include <algorithm>
#include <cmath>

#include "worker/sampling/elementary.h"
#include "worker/sampling/row.h"
#include "worker/sampling/sampler.h"

namespace bessemer {
namespace {

// 1 + how many tokens come before the target.
int32_t rank_of(std::span<const float> row, int32_t target) {
  const float value = row[static_cast<size_t>(target)];
  const size_t at = static_cast<size_t>(target);
  int32_t before = 0;
  for (size_t i = 0; i < at; ++i) before += row[i] >= value ? 1 : 0;
  for (size_t i = at + 1; i < row.size(); ++i) before += row[i] > value ? 1 : 0;
  return before + 1;
}

// The `count` likeliest in order. A sorted array suits the API's 20: after the first few hundred
// tokens almost none enter.
std::vector<Candidate> likeliest(std::span<const float> row, size_t count) {
  std::vector<Candidate> best;
  if (count == 0) return best;
  best.reserve(count + 1);
  for (size_t i = 0; i < row.size(); ++i) {
    if (best.size() == count && !(row[i] > best.back().logit)) continue;
    const Candidate candidate{row[i], static_cast<int32_t>(i)};
    best.insert(std::ranges::upper_bound(best, candidate, likelier), candidate);
    if (best.size() > count) best.pop_back();
  }
  return best;
}

}  // namespace

RowMax find_max(std::span<const float> row) {
  // Eight lanes let the compiler vectorise; a maximum is the same in any order. A NaN fails every
  // comparison: count those.
  constexpr size_t kLanes = 8;
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, kImpossible);
  int32_t nans = 0;
  size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float x = row[i + lane];
      lanes[lane] = x > lanes[lane] ? x : lanes[lane];
      nans += x != x ? 1 : 0;
    }
  }
  RowMax max{*std::max_element(lanes, lanes + kLanes), -1, false};
  for (; i < row.size(); ++i) {
    max.value = std::max(max.value, row[i]);
    nans += row[i] != row[i] ? 1 : 0;
  }
  if (nans > 0 || !std::isfinite(max.value)) return max;
  max.id = static_cast<int32_t>(std::ranges::find(row, max.value) - row.begin());
  max.usable = true;
  return max;
}

double sum_exp(std::span<const float> row, float max) {
  constexpr size_t kLanes = 8;
  double lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] += static_cast<double>(exp_nonpositive(row[i + lane] - max));
    }
  }
  for (; i < row.size(); ++i)
    lanes[i % kLanes] += static_cast<double>(exp_nonpositive(row[i] - max));
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

std::vector<Logprob> score_row(std::span<const float> logits, int32_t target, int32_t top) {
  const RowMax max = find_max(logits);
  if (!max.usable || target < 0 || static_cast<size_t>(target) >= logits.size()) return {};
  const double normaliser =
      static_cast<double>(max.value) + log_positive(sum_exp(logits, max.value));
  const auto value = [&](float logit) {
    return static_cast<float>(static_cast<double>(logit) - normaliser);
  };
  std::vector<Logprob> scores;
  scores.reserve(1 + static_cast<size_t>(std::max(top, 0)));
  scores.push_back({target, value(logits[static_cast<size_t>(target)]), rank_of(logits, target)});
  int32_t rank = 0;
  for (const Candidate& best : likeliest(logits, static_cast<size_t>(std::max(top, 0)))) {
    scores.push_back({best.id, value(best.logit), ++rank});
  }
  return scores;
}

}  // namespace bessemer
