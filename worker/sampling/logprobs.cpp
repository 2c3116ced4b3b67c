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
std::vector<TokenCandidate> likeliest(std::span<const float> row, size_t count) {
  std::vector<TokenCandidate> best;
  if (count == 0) return best;
  best.reserve(count + 1);
  for (size_t i = 0; i < row.size(); ++i) {
    if (best.size() == count && !(row[i] > best.back().logit)) continue;
    const TokenCandidate candidate{row[i], static_cast<int32_t>(i)};
    best.insert(std::ranges::upper_bound(best, candidate, likelier), candidate);
    if (best.size() > count) best.pop_back();
  }
  return best;
}

}  // namespace

std::vector<Logprob> score_row(std::span<const float> logits, int32_t target, int32_t top) {
  return score_row(logits, find_max(logits), target, top);
}

std::vector<Logprob> score_row(std::span<const float> logits, const RowMax& max, int32_t target,
                               int32_t top) {
  if (!max.usable || target < 0 || static_cast<size_t>(target) >= logits.size()) return {};
  const double normaliser =
      static_cast<double>(max.value) + log_positive(sum_exp(logits, max.value, 1.0f));
  const auto value = [&](float logit) {
    return static_cast<float>(static_cast<double>(logit) - normaliser);
  };
  std::vector<Logprob> scores;
  scores.reserve(1 + static_cast<size_t>(std::max(top, 0)));
  scores.push_back({target, value(logits[static_cast<size_t>(target)]), rank_of(logits, target)});
  int32_t rank = 0;
  for (const TokenCandidate& best : likeliest(logits, static_cast<size_t>(std::max(top, 0)))) {
    scores.push_back({best.id, value(best.logit), ++rank});
  }
  return scores;
}

}  // namespace bessemer
