// What the stages of the sampler share.
#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "worker/sampling/params.h"

namespace bessemer {

constexpr float kImpossible =
    -std::numeric_limits<float>::infinity();  // the logit of what cannot be drawn

// A token that can still be drawn.
struct TokenCandidate {
  float logit;
  int32_t id;
};
// The order in which probabilities are summed and ties are broken: likelier first, then the lower
// id.
inline bool likelier(const TokenCandidate& a, const TokenCandidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

struct RowMax {
  float value = kImpossible;
  int32_t id = -1;      // lowest id that has the value; -1: every value is -inf
  bool usable = false;  // no NaN, no +inf, something above -inf
};
RowMax find_max(std::span<const float> row);

// Sum over the row of e^((row[i] - max) * scale), in interleaved partial sums of a fixed number,
// whatever the vector width.
double sum_exp(std::span<const float> row, float max, float scale);

// score_row() for who knows the row's maximum already.
std::vector<Logprob> score_row(std::span<const float> logits, const RowMax& max, int32_t target,
                               int32_t top);

}  // namespace bessemer
