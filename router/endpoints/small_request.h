// Endpoints that answer from the router alone: parse a body, find its model, compute, answer; in
// the pool when the body is long.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <variant>

#include "common/json.h"
#include "router/endpoints/context.h"
#include "router/endpoints/model_text.h"
#include "router/openai/fields.h"

namespace bessemer {

constexpr size_t kMaxTextBytes =
    size_t{64} << 20;  // above any body limit: the body's bound is the one that counts

// One list of tokens, in or out: eight times the longest usual context of 128 Ki.
constexpr size_t kMaxListedTokens = size_t{1} << 20;
// An answer's JSON: the text of a body of the default limit (16 MiB), twice, as /detokenize sends
// it. Below HttpLimits::max_answer_bytes.
constexpr size_t kMaxSmallAnswerBytes = size_t{32} << 20;
// 400: what `param` asks for is above one of the two.
ApiError too_many_tokens(const char* param, size_t tokens);
ApiError answer_too_long(const char* param);

struct SmallRequest {
  explicit SmallRequest(json::object parsed) : body(std::move(parsed)), fields(body, "", problem) {}
  SmallRequest(const SmallRequest&) = delete;
  SmallRequest& operator=(const SmallRequest&) = delete;
  json::object body;
  std::optional<ApiError> problem;
  FieldReader fields;
};

// The fields of a body, whatever it is written in.
using BodyReader = std::variant<json::object, ApiError> (*)(std::string_view body);
std::variant<json::object, ApiError> read_json_body(std::string_view body);

// The whole body of the answer, or the error. Any thread.
using SmallHandler = std::variant<std::string, ApiError> (*)(SmallRequest& request,
                                                             const ModelView& model);

// "model" may be left out while one model is served.
void run_small_request(EndpointCall call, BodyReader read, SmallHandler handler);

}  // namespace bessemer
