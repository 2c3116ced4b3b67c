#include "worker/engine/admission.h"

#include <algorithm>

#include <fmt/format.h>

#include "worker/kv/kv_space.h"
#include "worker/sampling/validate.h"

namespace bessemer {
namespace {

using Refusal = std::optional<Rejected>;

Refusal bad_input(std::string detail) {
  return Rejected{RejectReason::bad_input, std::move(detail)};
}
Refusal too_large(std::string detail) {
  return Rejected{RejectReason::too_large, std::move(detail)};
}

Refusal check_between(const char* name, int32_t value, int32_t low, int32_t high) {
  if (value >= low && value <= high) return std::nullopt;
  return bad_input(fmt::format("{} is {}; it must be between {} and {}", name, value, low, high));
}

Refusal check_prompt(const Request& request, const Limits& limits) {
  if (request.prompt.empty()) return bad_input("the prompt has no tokens; at least one is needed");
  for (size_t i = 0; i < request.prompt.size(); ++i) {
    const int32_t id = request.prompt[i];
    if (id >= 0 && (limits.vocab_size == 0 || id < limits.vocab_size)) continue;
    return bad_input(fmt::format("prompt token {} is id {}, outside the vocabulary of {}", i, id,
                                 limits.vocab_size));
  }
  return std::nullopt;
}

Refusal check_counts(const Request& request) {
  if (auto no = check_between("n", request.n, 1, kMaxChoices)) return no;
  if (auto no = check_between("logprobs", request.top_logprobs, -1, kMaxTopLogprobs)) return no;
  if (auto no = check_between("prompt_logprobs", request.prompt_logprobs, -1, kMaxTopLogprobs)) {
    return no;
  }
  if (request.max_tokens >= 1) return std::nullopt;
  return bad_input(fmt::format("max_tokens is {}; it must be at least 1", request.max_tokens));
}

Refusal check_length(const Request& request, const Limits& limits) {
  const size_t prompt = request.prompt.size();
  if (prompt < static_cast<size_t>(limits.max_len)) return std::nullopt;
  return too_large(fmt::format("the prompt has {} tokens; prompt and answer together may have {}",
                               prompt, limits.max_len));
}

Refusal check_kv(const Request& request, const Limits& limits) {
  // The last token drawn is never computed.
  const int32_t rows =
      static_cast<int32_t>(request.prompt.size()) + output_limit(request, limits) - 1;
  for (size_t g = 0; g < limits.groups.size(); ++g) {
    const KvGroup& group = limits.groups[g];
    const int32_t blocks = blocks_for(rows, group.block_tokens);
    if (blocks <= group.block_count) continue;
    return too_large(
        fmt::format("prompt ({} tokens) and answer (up to {}) need {} KV blocks of {} tokens in "
                    "group {}; there are {}",
                    request.prompt.size(), output_limit(request, limits), blocks,
                    group.block_tokens, g, group.block_count));
  }
  return std::nullopt;
}

}  // namespace

int32_t output_limit(const Request& request, const Limits& limits) {
  return std::min(request.max_tokens, limits.max_len - static_cast<int32_t>(request.prompt.size()));
}

std::optional<Rejected> find_refusal(const Request& request, const Limits& limits) {
  if (auto no = check_prompt(request, limits)) return no;
  if (auto no = check_counts(request)) return no;
  const Status sampling =
      validate_sampling(request.sampling, request.tokens, request.floats, limits.vocab_size);
  if (!sampling.ok()) return bad_input(std::string(sampling.message()));
  if (auto no = check_length(request, limits)) return no;
  return check_kv(request, limits);
}

}  // namespace bessemer
