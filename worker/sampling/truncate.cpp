#include "worker/sampling/truncate.h"

#include <algorithm>
#include <cmath>

#include "worker/sampling/elementary.h"

namespace bessemer {
namespace {

// Above it a heap costs more than one selection over the whole row.
constexpr int32_t kLargestHeap = 1024;
// Sorted at first when a prefix of unknown length is wanted; each further round sorts four times as
// many.
constexpr size_t kFirstSorted = 128;

// The k likeliest of the row, as a heap whose front is the least likely: one comparison for almost
// every token.
void take_top_k(std::span<const float> row, size_t k, std::vector<Candidate>& kept) {
  for (size_t i = 0; i < row.size(); ++i) {
    const Candidate candidate{row[i], static_cast<int32_t>(i)};
    if (candidate.logit == kImpossible) continue;
    if (kept.size() < k) {
      kept.push_back(candidate);
      std::push_heap(kept.begin(), kept.end(), likelier);
    } else if (candidate.logit > kept.front().logit) {  // equal: the earlier, lower id stays
      std::pop_heap(kept.begin(), kept.end(), likelier);
      kept.back() = candidate;
      std::push_heap(kept.begin(), kept.end(), likelier);
    }
  }
}

void take_all(std::span<const float> row, std::vector<Candidate>& kept) {
  for (size_t i = 0; i < row.size(); ++i) {
    if (row[i] != kImpossible) kept.push_back({row[i], static_cast<int32_t>(i)});
  }
}

void keep_top_k(std::vector<Candidate>& kept, size_t k) {
  if (kept.size() <= k) return;
  std::nth_element(kept.begin(), kept.begin() + static_cast<ptrdiff_t>(k), kept.end(), likelier);
  kept.resize(k);
}

// Survivors of top_k, or all, by id: sums over them have one order.
void collect(std::span<const float> row, int32_t top_k, std::vector<Candidate>& kept) {
  const size_t k = static_cast<size_t>(top_k);
  if (top_k <= 0) return take_all(row, kept);
  if (top_k <= kLargestHeap) {
    take_top_k(row, k, kept);
  } else {
    take_all(row, kept);
    keep_top_k(kept, k);
  }
  std::ranges::sort(kept, {}, &Candidate::id);
}

// Sum of weights, in the order in which the candidates lie.
double total_weight(const std::vector<Candidate>& kept, float max) {
  double sum = 0;
  for (const Candidate& candidate : kept) sum += exp_nonpositive(candidate.logit - max);
  return sum;
}

float max_logit(const std::vector<Candidate>& kept) {
  return std::ranges::min_element(kept, likelier)->logit;
}

// Keeps the shortest prefix in the order `before` whose weights sum to `mass` or more. Sorts no
// more than it must.
template <typename Before>
void keep_mass(std::vector<Candidate>& kept, float max, double mass, Before before) {
  double sum = 0;
  size_t sorted = 0;
  for (size_t round = kFirstSorted; sorted < kept.size(); round *= 4) {
    const size_t end = std::min(kept.size(), sorted + round);
    const auto first = kept.begin() + static_cast<ptrdiff_t>(sorted);
    const auto last = kept.begin() + static_cast<ptrdiff_t>(end);
    if (last != kept.end()) std::nth_element(first, last, kept.end(), before);
    std::sort(first, last, before);
    for (; sorted < end; ++sorted) {
      sum += exp_nonpositive(kept[sorted].logit - max);
      if (sum >= mass) return kept.resize(sorted + 1);
    }
  }
}

// Locally typical sampling (Meister et al. 2023): those whose surprise is nearest to the entropy
// come first.
void keep_typical(std::vector<Candidate>& kept, float typical_p) {
  const float max = max_logit(kept);
  const double total = total_weight(kept, max);
  double expected = 0;  // of (logit - max)
  for (const Candidate& candidate : kept) {
    const float gap = candidate.logit - max;
    const float weight = exp_nonpositive(gap);
    if (weight > 0) expected += weight * static_cast<double>(gap);
  }
  // surprise = ln(total) - gap and entropy = ln(total) - mean_gap: their difference needs no
  // logarithm.
  const double mean_gap = expected / total;
  const auto distance = [&](const Candidate& c) {
    return std::abs(mean_gap - static_cast<double>(c.logit - max));
  };
  keep_mass(kept, max, typical_p * total, [&](const Candidate& a, const Candidate& b) {
    const double da = distance(a), db = distance(b);
    return da != db ? da < db : a.id < b.id;
  });
}

// What cannot be within the first top_p of the mass need not be sorted: all tokens more than
// ln(count / (1 - top_p)) below the maximum weigh less than 1 - top_p together. One nat more makes
// rounding harmless.
void drop_hopeless(std::vector<Candidate>& kept, float max, float top_p) {
  const double ratio = static_cast<double>(kept.size()) / (1.0 - static_cast<double>(top_p));
  const float lowest = max - static_cast<float>(log_positive(ratio)) - 1.0f;
  std::erase_if(kept, [&](const Candidate& candidate) { return candidate.logit < lowest; });
}

void keep_top_p(std::vector<Candidate>& kept, float top_p) {
  const float max = max_logit(kept);
  const double total = total_weight(kept, max);
  drop_hopeless(kept, max, top_p);
  keep_mass(kept, max, static_cast<double>(top_p) * total, likelier);
}

void keep_min_p(std::vector<Candidate>& kept, float min_p) {
  const float max = max_logit(kept);
  const float lowest = static_cast<float>(log_positive(min_p));
  std::erase_if(kept, [&](const Candidate& candidate) { return candidate.logit - max < lowest; });
}

}  // namespace

bool needs_truncation(const SamplingParams& params) {
  return params.top_k > 0 || params.typical_p < 1 || params.top_p < 1 || params.min_p > 0;
}

void truncate(std::span<const float> row, const RowMax& max, const SamplingParams& params,
              std::vector<Candidate>& survivors) {
  survivors.clear();
  collect(row, params.top_k, survivors);
  const float inverse = 1.0f / params.temperature;
  for (Candidate& candidate : survivors) candidate.logit = (candidate.logit - max.value) * inverse;
  if (params.typical_p < 1) keep_typical(survivors, params.typical_p);
  if (params.top_p < 1) keep_top_p(survivors, params.top_p);
  if (params.min_p > 0) keep_min_p(survivors, params.min_p);
}

}  // namespace bessemer
