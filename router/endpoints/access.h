// Whose a request is, by the key that it brings.
#pragma once
#include <optional>

#include "router/endpoints/context.h"

namespace bessemer {

// Sets call.tenant. An error: the endpoint needs a key, and this request has none that is known.
std::optional<ApiError> identify(EndpointCall& call, bool needs_key);

}  // namespace bessemer
