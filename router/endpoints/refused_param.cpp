#include "router/endpoints/refused_param.h"

#include <algorithm>
#include <array>

namespace bessemer {
namespace {

struct FieldName {
  std::string_view wire, chat, completion;
};

constexpr std::array kFieldNames{
    FieldName{"n", "n", "n"},
    FieldName{"max_tokens", "max_tokens", "max_tokens"},
    FieldName{"min_tokens", "min_tokens", "min_tokens"},
    FieldName{"temperature", "temperature", "temperature"},
    FieldName{"top_p", "top_p", "top_p"},
    FieldName{"top_k", "top_k", "top_k"},
    FieldName{"min_p", "min_p", "min_p"},
    FieldName{"typical_p", "typical_p", "typical_p"},
    FieldName{"frequency_penalty", "frequency_penalty", "frequency_penalty"},
    FieldName{"presence_penalty", "presence_penalty", "presence_penalty"},
    FieldName{"repetition_penalty", "repetition_penalty", "repetition_penalty"},
    FieldName{"stop_ids", "stop_token_ids", "stop_token_ids"},
    FieldName{"allowed_ids", "allowed_token_ids", "allowed_token_ids"},
    FieldName{"logit_bias", "logit_bias", "logit_bias"},
    FieldName{"banned", "bad_words", "bad_words"},
    FieldName{"logprobs", "top_logprobs", "logprobs"},
    FieldName{"prompt_logprobs", "prompt_logprobs", "prompt_logprobs"},
    FieldName{"cache.root", "cache_salt", "cache_salt"},
    FieldName{"input.ids", "messages", "prompt"},
    FieldName{"prompt", "messages", "prompt"},
};

}  // namespace

std::optional<std::string> refused_param(std::string_view detail, ApiKind kind) {
  const std::string_view field = detail.substr(0, detail.find_first_of(" :[("));
  const auto* found = std::find_if(kFieldNames.begin(), kFieldNames.end(),
                                   [&](const FieldName& name) { return name.wire == field; });
  if (found == kFieldNames.end()) return std::nullopt;
  return std::string(kind == ApiKind::chat ? found->chat : found->completion);
}

}  // namespace bessemer
