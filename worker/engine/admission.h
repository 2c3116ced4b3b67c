// Which requests can never run here, said before they take a place in the queue. Pure.
#pragma once
#include <optional>

#include "worker/engine/request.h"
#include "worker/engine/step.h"

namespace bessemer {

constexpr int32_t kMaxChoices =
    128;  // n: what the public API allows; bounds the sequences of one request
constexpr int32_t kMaxTopLogprobs = 127;  // alternatives per token: what Work's int8 holds

// nullopt: it can run, alone at least. bad_input: something in it has no meaning; too_large: it
// would not fit even into an empty engine. The detail names the value and the limit.
std::optional<Rejected> find_refusal(const Request& request, const Limits& limits);

// Output tokens a choice can have: max_tokens, or what max_len leaves.
int32_t output_limit(const Request& request, const Limits& limits);

}  // namespace bessemer
