// JSON body -> ValidRequest, or the error that the client gets. Pure: knows nothing of models or
// tokens.
#pragma once
#include <string_view>
#include <variant>

#include "router/openai/error.h"
#include "router/openai/valid_request.h"

namespace bessemer {

using ParseResult = std::variant<ValidRequest, ApiError>;

ParseResult parse_chat_completion(std::string_view body);
ParseResult parse_completion(std::string_view body);
// The same of a body that has been read; consumed.
ParseResult parse_request(ApiKind kind, json::object& body);

}  // namespace bessemer
