#include "router/http/connection_exchange.h"

#include "common/check.h"

namespace bessemer {
namespace {

void add_all(HeaderList& into, HeaderList& from) {
  for (auto& header : from) into.push_back(std::move(header));
  from.clear();
}

}  // namespace

ConnectionExchange::ConnectionExchange(std::shared_ptr<Connection> connection, HttpRequest request)
    : connection_(std::move(connection)),
      request_(std::move(request)),
      core_(connection_->core().index()) {}

ConnectionExchange::~ConnectionExchange() {
  if (connection_ == nullptr) return;
  if (streaming_) {
    connection_->close();  // half an answer must not look like a whole one
  } else {
    AsioCore& core = connection_->core();
    respond(core.render_error(500, "the server dropped this request without an answer"));
  }
}

// The callbacks own what they capture: they go with the connection, or request and handler would
// keep each other alive.
std::shared_ptr<Connection> ConnectionExchange::detach() {
  on_writable_ = nullptr;
  on_abort_ = nullptr;
  return std::move(connection_);
}

void ConnectionExchange::add_header(std::string name, std::string value) {
  extra_headers_.emplace_back(std::move(name), std::move(value));
}

void ConnectionExchange::respond(HttpResponse response) {
  CHECK(!streaming_);
  const auto connection = detach();
  if (connection == nullptr) return;
  add_all(response.headers, extra_headers_);
  connection->send_response(request_, std::move(response));
}

void ConnectionExchange::begin_stream(StreamHead head) {
  CHECK(!streaming_);
  streaming_ = true;
  if (connection_ == nullptr) return;
  add_all(head.headers, extra_headers_);
  connection_->send_stream_head(request_, std::move(head));
}

bool ConnectionExchange::flush() {
  if (connection_ == nullptr) {
    staged_.clear();
    return true;
  }
  const auto connection = connection_;  // a slow client may be closed in here
  connection->send_frames(staged_);     // nothing staged: a head that still waits leaves now
  staged_.clear();
  return connection->drained();
}

void ConnectionExchange::end(HeaderList) {
  CHECK(streaming_);
  flush();
  const auto connection = detach();
  if (connection != nullptr) connection->finish_stream();
}

bool ConnectionExchange::writable() const {
  return connection_ == nullptr || connection_->drained();
}

void ConnectionExchange::abort(Abort reason) {
  const auto callback = std::move(on_abort_);
  on_abort_ = nullptr;
  if (reason == Abort::disconnected) detach();
  if (reason == Abort::deadline) deadline_ = TimePoint::max();
  if (callback) callback(reason);
}

void ConnectionExchange::became_writable() {
  const auto callback = on_writable_;  // may be replaced or cleared by what it calls
  if (callback) callback();
}

}  // namespace bessemer
