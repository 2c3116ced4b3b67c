#include <limits>

#include "router/openai/limits.h"
#include "router/openai/parse_parts.h"

namespace bessemer {
namespace {

void read_stream(FieldReader& fields, ValidRequest& request) {
  request.stream = fields.boolean("stream").value_or(false);
  json::object* options = fields.object("stream_options");
  if (options == nullptr) return;
  if (!request.stream) return fields.fail("stream_options", "needs 'stream' to be true.");
  FieldReader inner(*options, fields.path_of("stream_options"), fields.problem());
  request.include_usage = inner.boolean("include_usage").value_or(false);
  request.continuous_usage_stats = inner.boolean("continuous_usage_stats").value_or(false);
  if (request.continuous_usage_stats && !request.include_usage) {
    inner.fail("continuous_usage_stats", "needs 'stream_options.include_usage' to be true.");
  }
  if (inner.boolean("include_obfuscation").value_or(false)) {
    inner.refuse("include_obfuscation", "chunks are not padded here; leave it out or send false.");
  }
  inner.finish();
}

void read_prompt_options(FieldReader& fields, ValidRequest& request) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (const auto count = fields.integer("prompt_logprobs", 0, kMaxLogprobs)) {
    request.prompt_logprobs = static_cast<int32_t>(*count);
    if (request.stream) fields.fail("prompt_logprobs", "cannot be used with 'stream'.");
  }
  if (const auto tokens = fields.integer("truncate_prompt_tokens", -1, kMost)) {
    if (*tokens == 0)
      fields.fail("truncate_prompt_tokens", "must be at least 1, or -1 for as many as fit.");
    request.truncate_prompt_tokens = static_cast<int32_t>(*tokens);
  }
  request.return_token_ids = fields.boolean("return_token_ids").value_or(false);
}

}  // namespace

void read_common(FieldReader& fields, ValidRequest& request) {
  request.n = static_cast<int32_t>(fields.integer("n", 1, kMaxChoices).value_or(1));
  read_stream(fields, request);
  read_prompt_options(fields, request);
  constexpr int64_t kLowest = std::numeric_limits<int32_t>::min(),
                    kHighest = std::numeric_limits<int32_t>::max();
  request.priority =
      static_cast<int32_t>(fields.integer("priority", kLowest, kHighest).value_or(0));
  if (auto salt = fields.string("cache_salt", kMaxNameBytes)) {
    if (salt->empty()) fields.fail("cache_salt", "must not be empty.");
    request.cache_salt = *std::move(salt);
  }
}

}  // namespace bessemer
