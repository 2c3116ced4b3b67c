// Cross-origin requests from browsers. Off unless origins are configured: a page of some other site
// must not be able to use a server on the reader's own machine.
#pragma once
#include <string>

#include "router/endpoints/context.h"

namespace bessemer {

// Lets the request's origin read the answer, when it may.
void add_cors_headers(const EndpointCall& call);
// The answer to OPTIONS; `allowed`: methods of the path.
void add_preflight_headers(const EndpointCall& call, const std::string& allowed);

}  // namespace bessemer
