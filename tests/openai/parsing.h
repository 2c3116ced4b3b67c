// Short ways to say "this body is taken" and "this body is refused so".
#pragma once
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "router/openai/parse.h"

namespace bessemer {

// A chat or completion body with `fields` ("" or `"n": 2, ...`) behind what is required.
inline std::string chat_body(std::string_view fields) {
  std::string body = R"({"model": "m", "messages": [{"role": "user", "content": "hi"}])";
  if (!fields.empty()) body += ", " + std::string(fields);
  return body + "}";
}
inline std::string completion_body(std::string_view fields) {
  std::string body = R"({"model": "m", "prompt": "hi")";
  if (!fields.empty()) body += ", " + std::string(fields);
  return body + "}";
}
// A chat of the given messages.
inline std::string messages_body(std::string_view messages) {
  return R"({"model": "m", "messages": )" + std::string(messages) + "}";
}

inline ParseResult parse(ApiKind kind, std::string_view body) {
  return kind == ApiKind::chat ? parse_chat_completion(body) : parse_completion(body);
}

// The request, or a failed test and an empty request.
inline ValidRequest taken(ApiKind kind, std::string_view body) {
  ParseResult result = parse(kind, body);
  if (const auto* refused = std::get_if<RefusedRequest>(&result)) {
    ADD_FAILURE() << "refused: " << refused->error.message << "\n  " << body;
    return {};
  }
  return std::get<ValidRequest>(std::move(result));
}
inline ValidRequest chat(std::string_view fields = "") {
  return taken(ApiKind::chat, chat_body(fields));
}
inline ValidRequest completion(std::string_view fields = "") {
  return taken(ApiKind::completion, completion_body(fields));
}

// The error, or a failed test and an empty error.
inline ApiError refused(ApiKind kind, std::string_view body) {
  ParseResult result = parse(kind, body);
  if (const auto* refused = std::get_if<RefusedRequest>(&result)) return refused->error;
  ADD_FAILURE() << "taken, though it should be refused:\n  " << body;
  return {};
}

}  // namespace bessemer
