// Which tokens stay in the draw: top_k, typical_p, top_p and min_p, each over what the one before
// left, renormalised.
#pragma once
#include <span>
#include <vector>

#include "worker/sampling/params.h"
#include "worker/sampling/row.h"

namespace bessemer {

bool needs_truncation(const SamplingParams& params);

// Survivors of `row` (adjusted logits; at least one above -inf, none NaN or +inf) at
// params.temperature > 0 and needs_truncation(), in no stated order, at least one. Their logits are
// (logit - max) / temperature, so at most 0.
void truncate(std::span<const float> row, const RowMax& max, const SamplingParams& params,
              std::vector<TokenCandidate>& kept);

}  // namespace bessemer
