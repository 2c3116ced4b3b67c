#include "router/endpoints/context.h"

namespace bessemer {

void respond(const EndpointCall& call, HttpResponse response) {
  call.core.stats.count_request(call.endpoint, response.status);
  call.exchange->respond(std::move(response));
}

void respond(const EndpointCall& call, const ApiError& error) {
  respond(call, error_response(error));
}

void respond_json(const EndpointCall& call, std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  respond(call, std::move(response));
}

HttpResponse error_response(const ApiError& error) {
  HttpResponse response;
  response.status = error.status;
  response.body = render_error(error);
  if (error.retry_after_ms) {
    const int seconds = (*error.retry_after_ms + 999) / 1000;  // the header has whole seconds
    response.headers.emplace_back("retry-after", std::to_string(seconds));
    response.headers.emplace_back("retry-after-ms", std::to_string(*error.retry_after_ms));
  }
  if (!error.retryable) response.headers.emplace_back("x-should-retry", "false");
  return response;
}

}  // namespace bessemer
