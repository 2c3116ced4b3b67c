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

struct SmallRequest {
  explicit SmallRequest(json::object parsed) : body(std::move(parsed)), fields(body, "", problem) {}
  SmallRequest(const SmallRequest&) = delete;
  SmallRequest& operator=(const SmallRequest&) = delete;
  json::object body;
  std::optional<ApiError> problem;
  FieldReader fields;
};

// The whole JSON answer, or the error. Any thread.
using SmallHandler = std::variant<std::string, ApiError> (*)(SmallRequest& request,
                                                             const ModelView& model);

// "model" may be left out while one model is served.
void run_small_request(EndpointCall call, SmallHandler handler);

}  // namespace bessemer
