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
// Nats below the maximum where top_p looks first.
constexpr float kFirstDepth = -3.0f;

// The k likeliest of the row, as a heap whose front is the least likely: one comparison for almost
// every token.
void take_top_k(std::span<const float> row, size_t k, std::vector<TokenCandidate>& kept) {
  for (size_t i = 0; i < row.size(); ++i) {
    const TokenCandidate candidate{row[i], static_cast<int32_t>(i)};
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

// (logit - max) / temperature, as the race takes it.
struct Scale {
  float max, inverse_temperature;
  float operator()(float logit) const { return (logit - max) * inverse_temperature; }
};
constexpr Scale kUnscaled{0, 1};

// By id: all possible tokens whose scaled logits are `lowest` or more.
void take_from(std::span<const float> row, Scale scale, float lowest,
               std::vector<TokenCandidate>& kept) {
  for (size_t i = 0; i < row.size(); ++i) {
    const float logit = scale(row[i]);
    if (logit >= lowest && row[i] != kImpossible) kept.push_back({logit, static_cast<int32_t>(i)});
  }
}

// Survivors of top_k by id: sums over them have one order.
void keep_top_k(std::span<const float> row, size_t k, std::vector<TokenCandidate>& kept) {
  if (k <= kLargestHeap) {
    take_top_k(row, k, kept);
  } else {
    take_from(row, kUnscaled, kImpossible, kept);
    if (kept.size() > k) {
      std::nth_element(kept.begin(), kept.begin() + static_cast<ptrdiff_t>(k), kept.end(),
                       likelier);
      kept.resize(k);
    }
  }
  std::ranges::sort(kept, {}, &TokenCandidate::id);
}

// Sum of weights, in the order in which the candidates lie.
double total_weight(const std::vector<TokenCandidate>& kept, float max) {
  double sum = 0;
  for (const TokenCandidate& candidate : kept) {
    sum += static_cast<double>(exp_nonpositive(candidate.logit - max));
  }
  return sum;
}

float max_logit(const std::vector<TokenCandidate>& kept) {
  return std::ranges::min_element(kept, likelier)->logit;
}

// Keeps the shortest prefix in the order `before` whose weights sum to `mass` or more. Sorts no
// more than it must.
template <typename Before>
void keep_mass(std::vector<TokenCandidate>& kept, float max, double mass, Before before) {
  double sum = 0;
  size_t sorted = 0;
  for (size_t round = kFirstSorted; sorted < kept.size(); round *= 4) {
    const size_t end = std::min(kept.size(), sorted + round);
    const auto first = kept.begin() + static_cast<ptrdiff_t>(sorted);
    const auto last = kept.begin() + static_cast<ptrdiff_t>(end);
    if (last != kept.end()) std::nth_element(first, last, kept.end(), before);
    std::sort(first, last, before);
    for (; sorted < end; ++sorted) {
      sum += static_cast<double>(exp_nonpositive(kept[sorted].logit - max));
      if (sum >= mass) return kept.resize(sorted + 1);
    }
  }
}

// Locally typical sampling (Meister et al. 2023): those whose surprise is nearest to the entropy
// come first.
void keep_typical(std::vector<TokenCandidate>& kept, float typical_p) {
  const float max = max_logit(kept);
  const double total = total_weight(kept, max);
  double expected = 0;  // of (logit - max)
  for (const TokenCandidate& candidate : kept) {
    const float gap = candidate.logit - max;
    const float weight = exp_nonpositive(gap);
    if (weight > 0) expected += static_cast<double>(weight) * static_cast<double>(gap);
  }
  // surprise = ln(total) - gap and entropy = ln(total) - mean_gap: their difference needs no
  // logarithm.
  const double mean_gap = expected / total;
  const auto distance = [&](const TokenCandidate& c) {
    return std::abs(mean_gap - static_cast<double>(c.logit - max));
  };
  keep_mass(kept, max, static_cast<double>(typical_p) * total,
            [&](const TokenCandidate& a, const TokenCandidate& b) {
              const double da = distance(a), db = distance(b);
              return da != db ? da < db : a.id < b.id;
            });
}

// How far below the maximum a token among the first `top_p` of the mass can be: all of `count`
// tokens beyond ln(count / (1 - top_p)) weigh less than 1 - top_p together. One nat more makes
// rounding harmless.
float deepest_in_top_p(size_t count, float top_p) {
  const double ratio = static_cast<double>(count) / (1.0 - static_cast<double>(top_p));
  return -static_cast<float>(log_positive(ratio)) - 1.0f;
}

void keep_top_p(std::vector<TokenCandidate>& kept, float top_p) {
  const float max = max_logit(kept);
  keep_mass(kept, max, static_cast<double>(top_p) * total_weight(kept, max), likelier);
}

void keep_min_p(std::vector<TokenCandidate>& kept, float min_p) {
  const float max = max_logit(kept);
  const float lowest = static_cast<float>(log_positive(static_cast<double>(min_p)));
  std::erase_if(kept,
                [&](const TokenCandidate& candidate) { return candidate.logit - max < lowest; });
}

// top_p over the whole row. Nearly always a few tokens within a few nats of the maximum hold the
// mass: deeper ones become candidates only if those did not.
void take_top_p(std::span<const float> row, Scale scale, float top_p,
                std::vector<TokenCandidate>& kept) {
  const double total = sum_exp(row, scale.max, scale.inverse_temperature);
  const double mass = static_cast<double>(top_p) * total;
  const float deepest = deepest_in_top_p(row.size(), top_p);
  for (float depth = kFirstDepth;; depth *= 2) {
    kept.clear();
    take_from(row, scale, std::max(depth, deepest), kept);
    // The margin: summed in another order it must still be enough.
    if (depth <= deepest || total_weight(kept, 0) > mass * (1 + 1e-9)) break;
  }
  keep_mass(kept, 0, mass, likelier);
}

void take_min_p(std::span<const float> row, Scale scale, float min_p,
                std::vector<TokenCandidate>& kept) {
  take_from(row, scale, static_cast<float>(log_positive(static_cast<double>(min_p))), kept);
}

}  // namespace

bool needs_truncation(const SamplingParams& params) {
  return params.top_k > 0 || params.typical_p < 1 || params.top_p < 1 || params.min_p > 0;
}

// Without top_k and typical_p most of the row is out of reach and need not become candidates at
// all.
void truncate(std::span<const float> row, const RowMax& max, const SamplingParams& params,
              std::vector<TokenCandidate>& kept) {
  const Scale scale{max.value, 1.0f / params.temperature};
  kept.clear();
  if (params.top_k == 0 && params.typical_p >= 1) {
    if (params.top_p >= 1) return take_min_p(row, scale, params.min_p, kept);
    take_top_p(row, scale, params.top_p, kept);
  } else {
    if (params.top_k > 0) {
      keep_top_k(row, static_cast<size_t>(params.top_k), kept);
      for (TokenCandidate& candidate : kept) candidate.logit = scale(candidate.logit);
    } else {
      take_from(row, scale, kImpossible, kept);
    }
    if (params.typical_p < 1) keep_typical(kept, params.typical_p);
    if (params.top_p < 1) keep_top_p(kept, params.top_p);
  }
  if (params.min_p > 0) keep_min_p(kept, params.min_p);
}

}  // namespace bessemer
