#include "router/discovery/api_request.h"

#include <array>
#include <cstdlib>
#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/address.h"
#include "common/file.h"
#include "common/json.h"
#include "common/version.h"
#include "router/discovery/watcher.h"

namespace bessemer {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace ssl = asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kConnectTimeout = std::chrono::seconds(10);
constexpr auto kAnswerTimeout = std::chrono::seconds(30);
// Beyond what the server was asked for: it ends a watch by itself.
constexpr auto kWatchGrace = std::chrono::seconds(30);
constexpr size_t kMaxCredentialBytes = 1 << 20;
constexpr size_t kPieceBytes = 16 * 1024;

struct ApiAddress {
  std::string host, port;
};

// "https://host:port", an IPv6 host in brackets; the port may be missing.
StatusOr<ApiAddress> parse_api(const std::string& url) {
  constexpr std::string_view kScheme = "https://";
  std::string rest = url.starts_with(kScheme) ? url.substr(kScheme.size()) : "";
  while (rest.ends_with('/')) rest.pop_back();
  const size_t bracket = rest.starts_with('[') ? rest.find(']') : 0;
  const size_t colon = bracket == std::string::npos ? bracket : rest.find(':', bracket);
  ApiAddress address{rest.substr(0, colon), "443"};
  if (colon != std::string::npos) address.port = rest.substr(colon + 1);
  if (bracket != 0 && bracket != std::string::npos)
    address.host = address.host.substr(1, bracket - 1);
  const bool digits =
      !address.port.empty() && address.port.find_first_not_of("0123456789") == std::string::npos;
  if (!address.host.empty() && digits && address.host.find('/') == std::string::npos)
    return address;
  return absl::InvalidArgumentError("kubernetes_api '" + url +
                                    "' is no https://host:port; outside of a pod, name the "
                                    "cluster's API server");
}

// Without it a server that vanished would be noticed only when the watch is over.
void watch_for_silence(int descriptor) {
  const int on = 1, idle_s = 15, interval_s = 5, probes = 3;
  setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

// The message of a Status object, or the beginning of what is none.
std::string reason_in(const std::string& body) {
  const auto value = parse_json(body);
  if (value.ok() && value->is_object()) {
    const json::value* message = value->as_object().if_contains("message");
    if (message != nullptr && message->is_string()) return std::string(message->as_string());
  }
  return body.substr(0, 200);
}

Status refusal(unsigned code, const std::string& body) {
  const std::string reason = reason_in(body);
  if (code == 410) return absl::OutOfRangeError(reason);
  const std::string text = fmt::format("the API server answers {}: {}", code, reason);
  if (code != 401 && code != 403) return absl::UnavailableError(text);
  return absl::PermissionDeniedError(
      text +
      "; let the router's service account get, list and watch endpointslices of the group "
      "discovery.k8s.io");
}

class HttpsRequest final : public ApiRequest {
 public:
  HttpsRequest(asio::io_context& io, ApiAddress address, std::string token, Duration watch)
      : address_(std::move(address)),
        token_(std::move(token)),
        watch_(watch),
        resolver_(io),
        stream_(io, context_) {}

  Status trust(const std::string& authority);
  asio::awaitable<StatusOr<std::string>> get(std::string target) override;
  asio::awaitable<Status> watch(std::string target,
                                std::function<Status(std::string_view)> on_line) override;
  void cancel() override {
    resolver_.cancel();
    beast::get_lowest_layer(stream_).cancel();
    error_code ignored;
    beast::get_lowest_layer(stream_).socket().close(ignored);
  }

 private:
  asio::awaitable<Status> connect();
  asio::awaitable<Status> send(std::string target);
  Status failed(const char* what, const error_code& error) const {
    return absl::UnavailableError(fmt::format("cannot {} the API server {}:{}: {}", what,
                                              address_.host, address_.port, error.message()));
  }
  void expire_after(Duration duration) { beast::get_lowest_layer(stream_).expires_after(duration); }

  const ApiAddress address_;
  const std::string token_;
  const Duration watch_;
  ssl::context context_{ssl::context::tls_client};
  tcp::resolver resolver_;
  beast::ssl_stream<beast::tcp_stream> stream_;
  beast::flat_buffer buffer_;
};

Status HttpsRequest::trust(const std::string& authority) {
  error_code error;
  context_.add_certificate_authority(asio::buffer(authority), error);
  SSL_set_min_proto_version(stream_.native_handle(), TLS1_2_VERSION);
  if (!error) stream_.set_verify_mode(ssl::verify_peer, error);
  if (!error) stream_.set_verify_callback(ssl::host_name_verification(address_.host), error);
  error_code no_address;
  asio::ip::make_address(address_.host, no_address);
  if (no_address) SSL_set_tlsext_host_name(stream_.native_handle(), address_.host.c_str());
  if (!error) return absl::OkStatus();
  return absl::InvalidArgumentError("ca.crt holds no certificate that can be used: " +
                                    error.message());
}

asio::awaitable<Status> HttpsRequest::connect() {
  auto [resolve_error, endpoints] =
      co_await resolver_.async_resolve(address_.host, address_.port, kAwaitTuple);
  if (resolve_error) co_return failed("find", resolve_error);
  expire_after(kConnectTimeout);
  auto& lowest = beast::get_lowest_layer(stream_);
  auto [connect_error, endpoint] = co_await lowest.async_connect(endpoints, kAwaitTuple);
  if (connect_error) co_return failed("connect to", connect_error);
  watch_for_silence(lowest.socket().native_handle());
  auto [shake_error] = co_await stream_.async_handshake(ssl::stream_base::client, kAwaitTuple);
  if (shake_error) co_return failed("trust", shake_error);
  co_return absl::OkStatus();
}

asio::awaitable<Status> HttpsRequest::send(std::string target) {
  const Status connected = co_await connect();
  if (!connected.ok()) co_return connected;
  http::request<http::empty_body> request{http::verb::get, target, 11};
  request.set(http::field::host, host_and_port(address_.host, std::atoi(address_.port.c_str())));
  request.set(http::field::user_agent, std::string("bessemer/") + kVersion);
  request.set(http::field::accept, "application/json");
  request.set(http::field::authorization, "Bearer " + token_);
  request.set(http::field::connection, "close");
  expire_after(kAnswerTimeout);
  auto [error, count] = co_await http::async_write(stream_, request, kAwaitTuple);
  if (error) co_return failed("ask", error);
  co_return absl::OkStatus();
}

asio::awaitable<StatusOr<std::string>> HttpsRequest::get(std::string target) {
  const Status sent = co_await send(std::move(target));
  if (!sent.ok()) co_return sent;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kMaxApiBodyBytes);
  auto [error, count] = co_await http::async_read(stream_, buffer_, parser, kAwaitTuple);
  if (error) co_return failed("hear", error);
  if (parser.get().result_int() != 200)
    co_return refusal(parser.get().result_int(), parser.get().body());
  co_return std::move(parser.get().body());
}

asio::awaitable<Status> HttpsRequest::watch(std::string target,
                                            std::function<Status(std::string_view)> on_line) {
  const Status sent = co_await send(std::move(target));
  if (!sent.ok()) co_return sent;
  http::response_parser<http::buffer_body> parser;
  parser.body_limit(boost::none);
  auto [head_error, head_bytes] =
      co_await http::async_read_header(stream_, buffer_, parser, kAwaitTuple);
  if (head_error) co_return failed("hear", head_error);
  const unsigned code = parser.get().result_int();
  expire_after(code == 200 ? watch_ + kWatchGrace : Duration(kAnswerTimeout));
  std::string text;
  std::array<char, kPieceBytes> piece;
  while (!parser.is_done()) {
    parser.get().body().data = piece.data();
    parser.get().body().size = piece.size();
    auto [error, count] = co_await http::async_read_some(stream_, buffer_, parser, kAwaitTuple);
    text.append(piece.data(), piece.size() - parser.get().body().size);
    for (size_t end; code == 200 && (end = text.find('\n')) != std::string::npos;) {
      const Status taken = on_line(std::string_view(text).substr(0, end));
      if (!taken.ok()) co_return taken;
      text.erase(0, end + 1);
    }
    if (text.size() > kMaxApiLineBytes)
      co_return absl::ResourceExhaustedError("the API server sent an event of too many bytes");
    if (error && error != http::error::need_buffer) co_return failed("hear", error);
  }
  if (code != 200) co_return refusal(code, text);
  co_return absl::OkStatus();
}

}  // namespace

StatusOr<std::string> read_credential(const KubernetesOptions& options, const std::string& name) {
  ASSIGN_OR_RETURN(const std::string text,
                   read_file(options.credentials + "/" + name, kMaxCredentialBytes));
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos)
    return absl::InvalidArgumentError(options.credentials + "/" + name + " is empty");
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

StatusOr<std::shared_ptr<ApiRequest>> make_api_request(asio::io_context& io,
                                                       const KubernetesOptions& options) {
  ASSIGN_OR_RETURN(ApiAddress address, parse_api(options.api));
  ASSIGN_OR_RETURN(std::string token, read_credential(options, "token"));
  if (token.find_first_of("\r\n") != std::string::npos)
    return absl::InvalidArgumentError(options.credentials + "/token has more than one line");
  ASSIGN_OR_RETURN(const std::string authority, read_credential(options, "ca.crt"));
  auto request =
      std::make_shared<HttpsRequest>(io, std::move(address), std::move(token), options.watch);
  RETURN_IF_ERROR(annotate(request->trust(authority), options.credentials));
  return request;
}

}  // namespace bessemer
