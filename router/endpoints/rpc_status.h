// Errors as gRPC says them. In an HttpResponse they are what a gRPC answer over HTTP/2 has in its
// trailers; the front makes a status of them.
#pragma once
#include "router/http/message.h"
#include "router/openai/error.h"

namespace bessemer {

// The canonical code for an HTTP status: 429 RESOURCE_EXHAUSTED, 503 UNAVAILABLE, ...
int grpc_code(int http_status);

// Headers grpc-status, grpc-message, grpc-status-details-bin (StatusDetails with an ErrorDetail),
// and grpc-retry-pushback-ms, which gRPC's own clients heed when they retry.
HttpResponse rpc_error_response(const ApiError& error);

}  // namespace bessemer
