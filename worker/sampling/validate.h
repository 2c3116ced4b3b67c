// Refuses sampling parameters that have no meaning, before they reach a step.
#pragma once
#include <cstdint>
#include <span>

#include "common/status.h"
#include "worker/sampling/params.h"

namespace bessemer {

// InvalidArgument names the parameter, its value and what is possible. `tokens` and `floats` are
// the arrays that the ranges point into; `vocab_size` 0: token ids are checked for sign only.
Status validate_sampling(const SamplingParams& params, std::span<const int32_t> tokens,
                         std::span<const float> floats, int32_t vocab_size);

}  // namespace bessemer
