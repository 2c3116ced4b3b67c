#include "router/rpc/rpc_exchange.h"

#include <charconv>

#include "common/check.h"

namespace bessemer {
namespace {

// Takes the value of `name` out of `headers`; "" when it is not there.
std::string take(HeaderList& headers, std::string_view name) {
  for (auto header = headers.begin(); header != headers.end(); ++header) {
    if (header->first != name) continue;
    std::string value = std::move(header->second);
    headers.erase(header);
    return value;
  }
  return "";
}

// `trailers` loses what the status is made of. Without any: OK.
grpc::Status take_status(HeaderList& trailers) {
  const std::string number = take(trailers, "grpc-status");
  std::string message = take(trailers, "grpc-message");
  std::string details = take(trailers, "grpc-status-details-bin");
  int code = 0;
  std::from_chars(number.data(), number.data() + number.size(), code);
  return {static_cast<grpc::StatusCode>(code), std::move(message), std::move(details)};
}

}  // namespace

RpcExchange::RpcExchange(std::shared_ptr<RpcCall> call, HttpRequest request)
    : call_(std::move(call)),
      request_(std::move(request)),
      core_(call_->home().core.index()),
      deadline_(request_.deadline) {}

RpcExchange::~RpcExchange() {
  if (call_ == nullptr) return;
  constexpr const char* kDropped = "the server dropped this request without an answer";
  RpcShared& shared = call_->home().shared;
  HttpResponse response = shared.render_error(core_, 500, kDropped);
  if (streaming_) {
    end(std::move(response.headers));
  } else {
    respond(std::move(response));
  }
}

// The callbacks own what they capture: they go with the call.
std::shared_ptr<RpcCall> RpcExchange::detach() {
  on_writable_ = nullptr;
  on_abort_ = nullptr;
  return std::move(call_);
}

void RpcExchange::add_header(std::string name, std::string value) {
  if (call_ != nullptr) call_->add_metadata(name, value);
}

void RpcExchange::respond(HttpResponse response) {
  CHECK(!streaming_);
  const auto call = detach();
  if (call == nullptr) return;
  constexpr int kErrors = 400;
  grpc::Status status = take_status(response.headers);
  if (status.ok() && response.status >= kErrors)
    status = {grpc::StatusCode::INTERNAL, "HTTP status " + std::to_string(response.status)};
  if (status.ok()) call->send(response.body);
  call->finish(std::move(status), response.headers);
}

void RpcExchange::begin_stream(StreamHead head) {
  CHECK(!streaming_);
  streaming_ = true;
  if (call_ == nullptr) return;
  for (const auto& [name, value] : head.headers) call_->add_metadata(name, value);
}

bool RpcExchange::flush() {
  if (call_ != nullptr && !staged_.empty()) call_->send(staged_);
  staged_.clear();
  return writable();
}

void RpcExchange::end(HeaderList trailers) {
  CHECK(streaming_);
  flush();
  const auto call = detach();
  if (call == nullptr) return;
  grpc::Status status = take_status(trailers);
  call->finish(std::move(status), trailers);
}

void RpcExchange::abort(Abort reason) {
  const auto callback = std::move(on_abort_);
  on_abort_ = nullptr;
  if (reason == Abort::disconnected) detach();
  if (reason == Abort::deadline) deadline_ = TimePoint::max();
  if (callback) callback(reason);
}

void RpcExchange::became_writable() {
  const auto callback = on_writable_;  // may be replaced or cleared by what it calls
  if (callback) callback();
}

}  // namespace bessemer
