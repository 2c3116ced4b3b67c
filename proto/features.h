// The numbers of proto/features.md, for Hello.features and Start.required_features.
#pragma once
#include <cstdint>

namespace bessemer {

enum class Feature : uint32_t {
  generate = 1,
  parallel_choices = 2,
  penalties = 3,
  logit_bias = 4,
  logprobs = 5,
  prompt_logprobs = 6,
  min_p = 7,
  chunked_input = 8,
  banned_sequences = 9,
  typical_p = 10,
  cache_root = 11,
  resume = 20,
  attach = 21,
  credit = 22,
  grant = 28,
  handoff = 29,
};

}  // namespace bessemer
