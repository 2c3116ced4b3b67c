#include "worker/sampling/validate.h"

#include <cmath>
#include <string>

#include <fmt/format.h>

namespace bessemer {
namespace {

Status refuse(const std::string& message) {
  return absl::InvalidArgumentError(message);
}

Status within(const char* name, float value, float low, float high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return refuse(fmt::format("{} is {}; it must be between {} and {}", name, value, low, high));
}

// (0, 1].
Status share(const char* name, float value) {
  if (value > 0 && value <= 1) return absl::OkStatus();
  return refuse(fmt::format("{} is {}; it must be above 0 and at most 1", name, value));
}

Status finite(const char* name, float value) {
  if (std::isfinite(value)) return absl::OkStatus();
  return refuse(fmt::format("{} is {}; it must be a finite number", name, value));
}

Status inside(const char* name, Range range, size_t size) {
  const bool fits = range.begin >= 0 && range.count >= 0 &&
                    static_cast<uint64_t>(range.begin) + static_cast<uint64_t>(range.count) <= size;
  if (fits) return absl::OkStatus();
  return refuse(fmt::format("{}: range [{}, {} + {}) lies outside its array of {}", name,
                            range.begin, range.begin, range.count, size));
}

Status valid_id(const char* name, int32_t id, int32_t vocab_size) {
  if (id >= 0 && (vocab_size == 0 || id < vocab_size)) return absl::OkStatus();
  return refuse(
      fmt::format("{}: token id {} is outside the vocabulary of {}", name, id, vocab_size));
}

Status valid_ids(const char* name, Range range, std::span<const int32_t> tokens,
                 int32_t vocab_size) {
  RETURN_IF_ERROR(inside(name, range, tokens.size()));
  for (const int32_t id :
       tokens.subspan(static_cast<size_t>(range.begin), static_cast<size_t>(range.count))) {
    RETURN_IF_ERROR(valid_id(name, id, vocab_size));
  }
  return absl::OkStatus();
}

Status valid_banned(Range range, std::span<const int32_t> tokens, int32_t vocab_size) {
  RETURN_IF_ERROR(inside("banned", range, tokens.size()));
  auto rest = tokens.subspan(static_cast<size_t>(range.begin), static_cast<size_t>(range.count));
  while (!rest.empty()) {
    const int32_t length = rest[0];
    if (length < 1 || static_cast<size_t>(length) >= rest.size()) {
      return refuse(fmt::format("banned: a sequence of {} ids is announced, {} follow", length,
                                rest.size() - 1));
    }
    for (const int32_t id : rest.subspan(1, static_cast<size_t>(length))) {
      RETURN_IF_ERROR(valid_id("banned", id, vocab_size));
    }
    rest = rest.subspan(1 + static_cast<size_t>(length));
  }
  return absl::OkStatus();
}

Status valid_bias(const SamplingParams& params, std::span<const int32_t> tokens,
                  std::span<const float> floats, int32_t vocab_size) {
  RETURN_IF_ERROR(valid_ids("logit_bias", params.bias_ids, tokens, vocab_size));
  RETURN_IF_ERROR(inside("logit_bias values", params.bias, floats.size()));
  if (params.bias.count != params.bias_ids.count) {
    return refuse(fmt::format("logit_bias has {} ids and {} values", params.bias_ids.count,
                              params.bias.count));
  }
  for (const float value : floats.subspan(static_cast<size_t>(params.bias.begin),
                                          static_cast<size_t>(params.bias.count))) {
    RETURN_IF_ERROR(finite("logit_bias", value));
  }
  return absl::OkStatus();
}

}  // namespace

Status validate_sampling(const SamplingParams& params, std::span<const int32_t> tokens,
                         std::span<const float> floats, int32_t vocab_size) {
  RETURN_IF_ERROR(within("temperature", params.temperature, 0, 1000));
  RETURN_IF_ERROR(share("top_p", params.top_p));
  RETURN_IF_ERROR(share("typical_p", params.typical_p));
  RETURN_IF_ERROR(within("min_p", params.min_p, 0, 1));
  if (params.top_k < 0) return refuse(fmt::format("top_k is {}; 0 turns it off", params.top_k));
  if (params.min_tokens < 0) {
    return refuse(fmt::format("min_tokens is {}; it cannot be negative", params.min_tokens));
  }
  RETURN_IF_ERROR(finite("frequency_penalty", params.frequency_penalty));
  RETURN_IF_ERROR(finite("presence_penalty", params.presence_penalty));
  if (!(params.repetition_penalty > 0) || !std::isfinite(params.repetition_penalty)) {
    return refuse(fmt::format("repetition_penalty is {}; it must be above 0 (1 turns it off)",
                              params.repetition_penalty));
  }
  RETURN_IF_ERROR(valid_ids("stop_ids", params.stop_ids, tokens, vocab_size));
  RETURN_IF_ERROR(valid_ids("allowed_ids", params.allowed_ids, tokens, vocab_size));
  RETURN_IF_ERROR(valid_bias(params, tokens, floats, vocab_size));
  return valid_banned(params.banned, tokens, vocab_size);
}

}  // namespace bessemer
