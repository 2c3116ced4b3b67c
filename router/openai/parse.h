// JSON body -> ValidRequest, or the error that the client gets. Pure: knows nothing of models or
// tokens.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "router/openai/error.h"
#include "router/openai/valid_request.h"

namespace bessemer {

// Why, and what is known of whose request it was: for the log.
struct RefusedRequest {
  RefusedRequest(ApiError why, const ValidRequest& request = {})
      : error(std::move(why)), model(request.model), user(request.user) {}

  ApiError error;
  std::string model, user;  // empty: not read
};
using ParseResult = std::variant<ValidRequest, RefusedRequest>;

ParseResult parse_chat_completion(std::string_view body);
ParseResult parse_completion(std::string_view body);
// The same of a body that has been read; consumed.
ParseResult parse_request(ApiKind kind, json::object& body);

}  // namespace bessemer
