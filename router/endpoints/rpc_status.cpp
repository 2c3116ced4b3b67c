#include "router/endpoints/rpc_status.h"

#include "bessemer/v1/inference.pb.h"

namespace bessemer {
namespace {

// Of gRPC's status codes (the same numbers as Abseil's).
enum Code : int {
  kCancelled = 1,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kUnauthenticated = 16,
};

// What official clients of the REST API retry by themselves, unless they are told not to.
bool retryable(const ApiError& error) {
  const bool passing = error.status == 408 || error.status == 429 || error.status >= 500;
  return passing && error.retryable;
}

std::string details_of(const ApiError& error) {
  v1::ErrorDetail detail;
  detail.set_http_status(error.status);
  detail.set_type(error.type);
  detail.set_param(error.param.value_or(""));
  detail.set_code(error.code.value_or(""));
  detail.set_retry_after_ms(error.retry_after_ms.value_or(0));
  detail.set_retryable(retryable(error));
  v1::StatusDetails status;
  status.set_code(grpc_code(error.status));
  status.set_message(error.message);
  status.add_details()->PackFrom(detail);
  return status.SerializeAsString();
}

}  // namespace

int grpc_code(int http_status) {
  switch (http_status) {
    case 400:
      return kInvalidArgument;
    case 401:
      return kUnauthenticated;
    case 403:
      return kPermissionDenied;
    case 404:
      return kNotFound;
    case 405:
    case 501:
      return kUnimplemented;
    case 408:
    case 504:
      return kDeadlineExceeded;
    case 413:
    case 429:
      return kResourceExhausted;
    case 499:
      return kCancelled;
    case 503:
      return kUnavailable;
    default:
      return kInternal;
  }
}

HttpResponse rpc_error_response(const ApiError& error) {
  constexpr const char* kNever = "-1";
  HttpResponse response;
  response.status = error.status;
  response.content_type = "application/grpc";
  response.headers = {{"grpc-status", std::to_string(grpc_code(error.status))},
                      {"grpc-message", error.message},
                      {"grpc-status-details-bin", details_of(error)}};
  if (!retryable(error)) {
    response.headers.emplace_back("grpc-retry-pushback-ms", kNever);
  } else if (error.retry_after_ms) {
    response.headers.emplace_back("grpc-retry-pushback-ms", std::to_string(*error.retry_after_ms));
  }
  return response;
}

}  // namespace bessemer
