#include "router/http/request_parser.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <optional>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/string_body.hpp>

#include "common/check.h"

namespace bessemer {
namespace http = boost::beast::http;

struct RequestParser::Impl {
  explicit Impl(const HttpLimits& limits) : header_limit(limits.max_header_bytes) {
    parser.eager(true);
    parser.header_limit(static_cast<uint32_t>(limits.max_header_bytes));
    parser.body_limit(limits.max_body_bytes);
  }

  State fail(int status, std::string message) {
    error_status = status;
    error_message = std::move(message);
    return State::failed;
  }
  State fail(const boost::beast::error_code& error);
  State fail_unfinished();
  bool framing_is_sound();
  std::optional<State> expectation();

  http::request_parser<http::string_body> parser;
  size_t header_limit;
  bool started = false, framing_checked = false, continue_asked = false;
  int error_status = 400;
  std::string error_message;
};

namespace {

// RFC 9112, 2.2: a server should ignore empty lines before the request line.
size_t leading_empty_lines(std::string_view input) {
  return std::min(input.find_first_not_of("\r\n"), input.size());
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

// RFC 9112, 3.2.2: a target may name the server too, as clients of proxies do.
std::string_view without_origin(std::string_view target) {
  const size_t scheme = target.find("://");
  if (target.starts_with('/') || scheme == std::string_view::npos) return target;
  const size_t path = target.find_first_of("/?#", scheme + 3);
  return path == std::string_view::npos || target[path] != '/' ? "/" : target.substr(path);
}

HttpRequest head_of(const http::request<http::string_body>& message) {
  HttpRequest request;
  request.method = std::string(message.method_string());
  const std::string_view target =
      without_origin({message.target().data(), message.target().size()});
  const size_t path_end = std::min(target.find_first_of("?#"), target.size());
  request.path = target.substr(0, path_end);
  if (path_end < target.size() && target[path_end] == '?') {
    const std::string_view query = target.substr(path_end + 1);
    request.query = query.substr(0, query.find('#'));
  }
  for (const auto& field : message) {
    request.headers.emplace_back(
        lower_case(std::string_view(field.name_string().data(), field.name_string().size())),
        std::string(field.value()));
  }
  request.keep_alive = message.keep_alive();
  request.chunked_answers = message.version() >= 11;
  return request;
}

}  // namespace

RequestParser::State RequestParser::Impl::fail(const boost::beast::error_code& error) {
  if (error == http::error::header_limit) {
    return fail(431, "the request's headers exceed " + std::to_string(header_limit) + " bytes");
  }
  if (error == http::error::body_limit) return fail(413, "the request's body is too large");
  return fail(400, "malformed HTTP request: " + error.message());
}

// The parser keeps no copy of a head, a chunk's first line or a trailer that has not ended: the
// caller's buffer grows, and with it must end somewhere.
RequestParser::State RequestParser::Impl::fail_unfinished() {
  if (!parser.is_header_done()) return fail(http::make_error_code(http::error::header_limit));
  return fail(
      431, "a chunk's extensions or the trailer exceed " + std::to_string(header_limit) + " bytes");
}

// RFC 9112, 6.1 and 6.3: a coding that is not understood leaves the body's end in doubt, and what
// seems to follow might be the body. The parser itself refuses Transfer-Encoding beside
// Content-Length, two Content-Lengths that differ, and anything behind `chunked`; it takes a last
// coding that is not `chunked` for "no body", and passes over codings in front of it.
bool RequestParser::Impl::framing_is_sound() {
  framing_checked = true;
  const auto coding = parser.get().find(http::field::content_encoding);
  if (coding != parser.get().end() && !boost::beast::iequals(coding->value(), "identity")) {
    fail(415, "no Content-Encoding is understood: send the body as it is");
    return false;
  }
  const auto [first, last] = parser.get().equal_range(http::field::transfer_encoding);
  if (first == last) return true;
  if (!parser.chunked() || parser.get().version() < 11) {
    fail(400, parser.chunked() ? "HTTP/1.0 has no Transfer-Encoding; send Content-Length"
                               : "the last Transfer-Encoding must be chunked");
    return false;
  }
  if (std::next(first) == last && boost::beast::iequals(first->value(), "chunked")) return true;
  fail(501, "the only Transfer-Encoding this server knows is chunked");
  return false;
}

// The state to return when the client waits for an answer before it sends the body.
std::optional<RequestParser::State> RequestParser::Impl::expectation() {
  if (continue_asked || parser.is_done()) return std::nullopt;
  const auto expect = parser.get().find(http::field::expect);
  if (expect == parser.get().end()) return std::nullopt;
  continue_asked = true;
  if (boost::beast::iequals(expect->value(), "100-continue")) return State::expects_continue;
  return fail(417, "the only expectation this server knows is 100-continue");
}

RequestParser::RequestParser(const HttpLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;

RequestParser::State RequestParser::feed(std::string_view input, size_t& consumed) {
  auto& parser = impl_->parser;
  consumed = 0;
  if (!impl_->started) {
    consumed = leading_empty_lines(input);
    impl_->started = consumed < input.size();
  }
  while (!parser.is_done()) {
    const std::string_view rest = input.substr(consumed);
    if (rest.empty()) return State::need_more;
    boost::beast::error_code error;
    const size_t used = parser.put(boost::asio::const_buffer(rest.data(), rest.size()), error);
    consumed += used;
    if (error && error != http::error::need_more) return impl_->fail(error);
    if (error && rest.size() - used > impl_->header_limit) return impl_->fail_unfinished();
    if (error && used == 0) return State::need_more;
    if (!parser.is_header_done()) continue;
    if (!impl_->framing_checked && !impl_->framing_is_sound()) return State::failed;
    if (const auto state = impl_->expectation()) return *state;
  }
  return State::complete;
}

bool RequestParser::started() const {
  return impl_->started;
}
bool RequestParser::header_done() const {
  return impl_->parser.is_header_done();
}

size_t RequestParser::body_bytes() const {
  const auto announced = impl_->parser.content_length();
  return announced ? static_cast<size_t>(*announced) : impl_->parser.get().body().size();
}

HttpRequest RequestParser::head() const {
  return head_of(impl_->parser.get());
}

HttpRequest RequestParser::take() {
  CHECK(impl_->parser.is_done());
  auto message = impl_->parser.release();
  HttpRequest request = head_of(message);
  request.body = std::move(message.body());
  return request;
}

int RequestParser::error_status() const {
  return impl_->error_status;
}
const std::string& RequestParser::error_message() const {
  return impl_->error_message;
}

}  // namespace bessemer
