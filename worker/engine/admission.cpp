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

Refusal check_ids(const char* which, std::span<const int32_t> ids, const Limits& limits) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && (limits.vocab_size == 0 || ids[i] < limits.vocab_size)) continue;
    return bad_input(fmt::format("{} token {} is id {}, outside the vocabulary of {}", which, i,
                                 ids[i], limits.vocab_size));
  }
  return std::nullopt;
}

Refusal check_prompt(const Request& request, const Limits& limits) {
  if (request.prompt.empty()) return bad_input("the prompt has no tokens; at least one is needed");
  return check_ids("prompt", request.prompt, limits);
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

// What was delivered elsewhere must be what this engine could have answered.
Refusal check_resumed(const Request& request, const Limits& limits) {
  if (request.resumed.empty()) return std::nullopt;
  if (std::ssize(request.resumed) != request.n) {
    return bad_input(fmt::format("resume names {} choices of a request with n = {}",
                                 request.resumed.size(), request.n));
  }
  if (request.prompt_logprobs >= 0) {
    return bad_input(
        "resume with prompt_logprobs: they come before the first token, so they have "
        "been delivered");
  }
  const int64_t most = output_limit(request, limits);
  for (int32_t choice = 0; choice < request.n; ++choice) {
    const std::vector<int32_t>& ids = request.resumed[static_cast<size_t>(choice)].ids;
    if (std::ssize(ids) > most) {
      return bad_input(
          fmt::format("choice {} has delivered {} tokens, more than the {} it may have", choice,
                      ids.size(), most));
    }
    if (auto no = check_ids("delivered", ids, limits)) return no;
  }
  return std::nullopt;
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
  if (auto no = check_resumed(request, limits)) return no;
  return check_kv(request, limits);
}

}  // namespace bessemer
