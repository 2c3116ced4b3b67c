// What the fronts' ways of tokenising share: the fields read and checked, not yet an answer.
#pragma once
#include <cstdint>
#include <variant>
#include <vector>

#include "router/endpoints/small_request.h"

namespace bessemer {

struct TokenizedPrompt {
  std::vector<int32_t> ids;
  bool with_strings = false;
  const char* param = "";  // where the text came from: "prompt" or "messages"
};
// vLLM's request: {prompt | messages, add_special_tokens?, return_token_strs?, ...}.
std::variant<TokenizedPrompt, ApiError> tokenized(SmallRequest& request, const ModelView& model);

// {tokens}: each of them in the vocabulary.
std::variant<std::vector<int32_t>, ApiError> listed_tokens(SmallRequest& request,
                                                           const ModelView& model);

}  // namespace bessemer
