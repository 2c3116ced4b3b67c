#include "router/endpoints/cors.h"

#include <algorithm>

namespace bessemer {
namespace {

// The request's origin, when it is on the list; nullptr otherwise.
const std::string* allowed_origin(const EndpointCall& call) {
  const std::string* origin = call.exchange->request().header("origin");
  if (origin == nullptr) return nullptr;
  const auto& origins = call.core.settings.cors_origins;
  const bool listed = std::any_of(origins.begin(), origins.end(), [&](const std::string& one) {
    return one == "*" || one == *origin;
  });
  return listed ? origin : nullptr;
}

}  // namespace

void add_cors_headers(const EndpointCall& call) {
  const std::string* origin = allowed_origin(call);
  if (origin == nullptr) return;
  call.exchange->add_header("access-control-allow-origin", *origin);
  call.exchange->add_header("access-control-expose-headers",
                            "x-request-id, retry-after, retry-after-ms");
  call.exchange->add_header("vary", "origin");
}

void add_preflight_headers(const EndpointCall& call, const std::string& allowed) {
  if (allowed_origin(call) == nullptr) return;
  const std::string* wanted = call.exchange->request().header("access-control-request-headers");
  call.exchange->add_header("access-control-allow-methods", allowed);
  call.exchange->add_header(
      "access-control-allow-headers",
      wanted != nullptr ? *wanted : "authorization, content-type, x-request-id");
  call.exchange->add_header("access-control-max-age", "600");
}

}  // namespace bessemer
