#include "router/http/connection.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/check.h"
#include "router/http/connection_exchange.h"

namespace bessemer {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

TimePoint now_steady() {
  return std::chrono::steady_clock::now();
}

// What has been sent is cut off the front of the buffer only beyond this size, so that cutting
// costs O(1) a byte.
constexpr size_t kCompactBytes = 64 * 1024;

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr std::string_view kPing = ": ping\n\n";

}  // namespace

Connection::Connection(AsioCore& core, ByteStream stream)
    : core_(core),
      stream_(std::move(stream)),
      limits_(core.limits()),
      parser_(limits_),
      since_(now_steady()),
      last_output_(since_) {}

Connection::~Connection() = default;

void Connection::start() {
  error_code ignored;
  stream_.socket().non_blocking(true, ignored);
  stream_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  arm_read();
}

void Connection::close() {
  if (phase_ == Phase::closed) return;
  const auto self = shared_from_this();
  phase_ = Phase::closed;
  const auto exchange = exchange_.lock();
  finish_exchange();
  set_live(false);
  if (exchange != nullptr) exchange->abort(Abort::disconnected);
  error_code ignored;
  stream_.socket().close(ignored);
  core_.forget(self);
}

void Connection::close_if_idle() {
  if (phase_ == Phase::reading && !parser_.started()) close();
}

void Connection::abort_request(Abort reason) {
  if (const auto exchange = exchange_.lock()) return exchange->abort(reason);
  if (phase_ == Phase::reading && parser_.started()) refuse(503, "the server is shutting down");
}

// ---- input ----

size_t Connection::read_room() const {
  if (phase_ == Phase::reading || phase_ == Phase::lingering) return core_.scratch().size();
  const size_t kept = input_.size();
  return kept < limits_.read_ahead_bytes ? limits_.read_ahead_bytes - kept : 0;
}

void Connection::arm_read() {
  if (reading_armed_ || phase_ == Phase::closed || read_room() == 0) return;
  reading_armed_ = true;
  if (stream_.buffered())
    return core_.post([self = shared_from_this()] { self->on_readable(error_code()); });
  stream_.socket().async_wait(
      stream_.read_wait(),
      [self = shared_from_this()](const error_code& error) { self->on_readable(error); });
}

void Connection::on_readable(const error_code& error) {
  reading_armed_ = false;
  if (phase_ == Phase::closed) return;
  if (error) return close();
  auto& scratch = core_.scratch();
  const auto [outcome, count] = stream_.read(scratch.data(), std::min(read_room(), scratch.size()));
  switch (outcome) {
    case ByteStream::Outcome::again:
      return arm_read();
    case ByteStream::Outcome::closed:
      return peer_gone();
    case ByteStream::Outcome::plain_text:
      return refuse(400, "this port speaks HTTPS: write https:// in front of its address");
    case ByteStream::Outcome::done:
      return received({scratch.data(), count});
  }
}

void Connection::received(std::string_view fresh) {
  if (phase_ == Phase::reading) {
    if (!parser_.started()) since_ = now_steady();
    if (input_.empty()) {
      process(fresh);
    } else {
      std::string all = std::move(input_);
      all.append(fresh);
      process(all);
    }
  } else if (phase_ == Phase::answering) {
    input_.append(fresh);
  }
  arm_read();
}

void Connection::peer_gone() {
  close();
}

// Parses what it can of `input` and keeps the rest.
void Connection::process(std::string_view input) {
  const auto self = shared_from_this();
  input_.clear();
  processing_ = true;
  while (phase_ == Phase::reading && step(input)) {
  }
  processing_ = false;
  if (phase_ == Phase::reading || phase_ == Phase::answering) input_.assign(input);
}

// One piece of progress; false: more input is needed.
bool Connection::step(std::string_view& input) {
  size_t used = 0;
  const auto state = parser_.feed(input, used);
  input.remove_prefix(used);
  if (parser_.started()) set_live(true);
  if (state == RequestParser::State::failed) {
    refuse(parser_.error_status(), parser_.error_message());
    return false;
  }
  if (parser_.header_done() && !reserve_body()) {
    refuse(503, "the server's memory for request bodies is full; try again");
    return false;
  }
  switch (state) {
    case RequestParser::State::need_more:
      return false;
    case RequestParser::State::expects_continue:
      output_.append(kContinue);
      push_output();
      return true;
    default:
      dispatch();
      return !input.empty();
  }
}

bool Connection::reserve_body() {
  return body_lease_.grow(core_.shared().body_bytes, parser_.body_bytes(),
                          limits_.max_body_total_bytes);
}

void Connection::dispatch() {
  HttpRequest request = parser_.take();
  request.body_lease = std::move(body_lease_);
  body_lease_ = BodyLease();
  request.received = now_steady();
  name_request(request);
  phase_ = Phase::answering;
  streaming_ = false;
  auto exchange = std::make_shared<ConnectionExchange>(shared_from_this(), std::move(request));
  exchange_ = exchange;
  core_.shared().handle(std::move(exchange));
}

void Connection::name_request(HttpRequest& request) {
  const std::string* wanted = request.header("x-request-id");
  const bool usable = wanted != nullptr && well_formed_request_id(*wanted);
  request.id = usable ? *wanted : core_.make_request_id();
  head_only_ = request.method == "HEAD";
}

void Connection::set_live(bool live) {
  if (live_ == live) return;
  live_ = live;
  core_.count_request(live ? +1 : -1);
}

// An error of the HTTP layer: what follows on this connection cannot be trusted.
void Connection::refuse(int status, std::string_view message) {
  HttpRequest request = parser_.head();
  name_request(request);
  request.keep_alive = false;
  phase_ = Phase::answering;
  send_response(request, core_.render_error(status, message));
}

// ---- output ----

HeadOptions Connection::head_options(const HttpRequest& request) {
  keep_alive_ = request.keep_alive && !core_.shared().draining.load(std::memory_order_relaxed);
  return {.request_id = request.id, .date = core_.date(), .keep_alive = keep_alive_};
}

// A slow reader holds its answer here: each is bounded, and all of them together.
void Connection::bound_answer(HttpResponse& response) {
  const size_t bytes = response.body.size();
  if (bytes > limits_.max_answer_bytes) {
    response = core_.render_error(
        400, fmt::format("the answer has {} bytes, above the {} of one answer; ask for less, or "
                         "for a stream where there is one",
                         bytes, limits_.max_answer_bytes));
  } else if (!output_lease_.grow(core_.shared().output_bytes, output_.size() + bytes,
                                 limits_.max_answer_total_bytes)) {
    response = core_.render_error(503, "the server's memory for answers is full; try again");
  }
}

void Connection::send_response(HttpRequest& request, HttpResponse response) {
  if (phase_ == Phase::closed) return;
  bound_answer(response);
  HeadOptions options = head_options(request);
  const bool bodiless = response.status == 204;
  options.content_length = bodiless ? -1 : static_cast<long>(response.body.size());
  output_ += render_head(response.status, bodiless ? "" : response.content_type, response.headers,
                         options);
  if (!head_only_ && !bodiless) output_ += response.body;
  finish_exchange();
  push_output();
}

void Connection::send_stream_head(HttpRequest& request, StreamHead head) {
  if (phase_ == Phase::closed) return;
  chunked_ = request.chunked_answers;
  comments_ = head.comments;
  streaming_ = true;
  request.keep_alive = request.keep_alive && chunked_;
  HeadOptions options = head_options(request);
  options.chunked = chunked_;
  output_ += render_head(head.status, head.content_type, head.headers, options);
}

void Connection::send_frames(std::string_view frames) {
  if (phase_ != Phase::answering) return;
  if (chunked_) {
    append_chunk(output_, frames);
  } else {
    output_.append(frames);
  }
  if (!drained()) push_output();
  if (output_.size() - sent_ > limits_.max_output_bytes) close();
}

void Connection::finish_stream() {
  if (phase_ != Phase::answering) return;
  if (chunked_) output_.append(kLastChunk);
  finish_exchange();
  push_output();
}

void Connection::finish_exchange() {
  exchange_.reset();
  streaming_ = false;
  answered_ = true;
}

// Sends what the socket takes at once; the rest waits for its readiness.
void Connection::push_output() {
  if (writing_armed_ || phase_ == Phase::closed) return;
  const size_t before = sent_;
  while (sent_ < output_.size()) {
    const auto [outcome, count] = stream_.write(std::string_view(output_).substr(sent_));
    if (outcome == ByteStream::Outcome::again) break;
    if (outcome == ByteStream::Outcome::closed) return close();
    sent_ += count;
  }
  if (sent_ != before) last_output_ = now_steady();
  if (sent_ < output_.size()) {
    if (sent_ >= kCompactBytes) {
      output_.erase(0, sent_);
      sent_ = 0;
    }
    return arm_write();
  }
  if (output_.capacity() > kCompactBytes) output_ = std::string();
  output_.clear();
  sent_ = 0;
  output_lease_ = BodyLease();
  if (answered_) next_request();
}

void Connection::arm_write() {
  writing_armed_ = true;
  last_output_ = now_steady();  // the write time-out measures from the moment the socket was full
  stream_.socket().async_wait(asio::socket_base::wait_write,
                              [self = shared_from_this()](const error_code& error) {
                                self->writing_armed_ = false;
                                if (self->phase_ == Phase::closed) return;
                                if (error) return self->close();
                                self->push_output();
                                if (!self->drained() || self->phase_ != Phase::answering) return;
                                if (const auto exchange = self->exchange_.lock())
                                  exchange->became_writable();
                              });
}

// C2: the answer has left.
void Connection::next_request() {
  answered_ = false;
  if (!keep_alive_) return linger();
  set_live(false);
  phase_ = Phase::reading;
  parser_ = RequestParser(limits_);
  since_ = now_steady();
  if (processing_) return;  // the loop in process() goes on
  if (!input_.empty()) {
    const std::string kept = std::move(input_);
    process(kept);
  }
  arm_read();
}

// Closing at once would reset the connection while the client still sends, and it might lose our
// answer.
void Connection::linger() {
  phase_ = Phase::lingering;
  since_ = now_steady();
  input_.clear();
  if (!stream_.finish()) return close();
  arm_read();
}

// ---- time ----

// True when the client has sent its FIN: with the read-ahead full nobody reads, so the kernel is
// asked.
bool Connection::half_closed() const {
  tcp_info info{};
  socklen_t length = sizeof info;
  // native_handle() is not const in Asio.
  const int descriptor = const_cast<asio::ip::tcp::socket&>(stream_.socket()).native_handle();
  if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return true;
  return info.tcpi_state != TCP_ESTABLISHED;
}

void Connection::sweep(TimePoint now) {
  switch (phase_) {
    case Phase::reading:
      return sweep_reading(now);
    case Phase::answering:
      return sweep_answering(now);
    case Phase::lingering:
      if (now - since_ >= limits_.linger_timeout) close();
      return;
    case Phase::closed:
      return;
  }
}

void Connection::sweep_reading(TimePoint now) {
  const Duration waited = now - since_;
  if (!parser_.started()) {
    const bool idle_closes = core_.shared().idle_closes.load(std::memory_order_relaxed);
    const Duration limit =
        stream_.established() ? Duration(limits_.idle_timeout) : limits_.header_timeout;
    if (idle_closes || waited >= limit) close();
  } else if (!parser_.header_done()) {
    if (waited >= limits_.header_timeout)
      refuse(408, "the request's headers took too long to arrive");
  } else if (waited >= limits_.body_timeout) {
    refuse(408, "the request's body took too long to arrive");
  }
}

void Connection::sweep_answering(TimePoint now) {
  if (!drained() && now - last_output_ >= limits_.write_timeout) return close();
  if (!reading_armed_ && half_closed()) return peer_gone();
  const auto exchange = exchange_.lock();
  if (exchange == nullptr) return;
  if (now >= exchange->deadline()) return exchange->abort(Abort::deadline);
  if (streaming_ && comments_ && drained() && now - last_output_ >= limits_.ping_interval)
    send_frames(kPing);
}

}  // namespace bessemer
