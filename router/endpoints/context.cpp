#include "router/endpoints/context.h"

#include "router/endpoints/record.h"

namespace bessemer {

void finish_request(const EndpointCall& call, int status, const RecordedTokens& tokens) {
  call.core.stats.count_request(call.endpoint, status);
  if (call.tenant != nullptr && !call.tenant->name.empty()) {
    call.router.tenants.count(call.tenant->name, status, tokens.prompt, tokens.cached,
                              tokens.completion);
  }
  write_down(call.router, *call.record, status, tokens);
}

void record_error(const EndpointCall& call, const ApiError& error) {
  call.record->failed(error.type, error.code.value_or(""), error.message);
}

void respond(const EndpointCall& call, HttpResponse response) {
  finish_request(call, response.status, {});
  call.exchange->respond(std::move(response));
}

void respond(const EndpointCall& call, const ApiError& error) {
  record_error(call, error);
  respond(call, call.render_error(error));
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
  if (error.status == 401) response.headers.emplace_back("www-authenticate", "Bearer");
  if (error.retry_after_ms) {
    const int seconds = (*error.retry_after_ms + 999) / 1000;  // the header has whole seconds
    response.headers.emplace_back("retry-after", std::to_string(seconds));
    response.headers.emplace_back("retry-after-ms", std::to_string(*error.retry_after_ms));
  }
  if (!error.retryable) response.headers.emplace_back("x-should-retry", "false");
  return response;
}

}  // namespace bessemer
