// What a request does to single logits before anything is drawn: bias, penalties, restrictions.
#pragma once
#include <span>
#include <vector>

#include "worker/sampling/sampler.h"

namespace bessemer {

// Whether adjust() would change anything.
bool needs_adjustment(const SampleInput& input);

// In this order: bias; repetition penalty over prompt and output; frequency and presence penalty
// over the output; then what is forbidden becomes -inf, so that no bias can bring it back: tokens
// outside allowed_ids, the last token of a banned sequence, stop_ids before min_tokens. `counts`:
// vocabulary wide, all zero on entry and on return.
void adjust(std::span<float> row, const SampleInput& input, std::vector<int32_t>& counts);

}  // namespace bessemer
