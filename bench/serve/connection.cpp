#include "bench/serve/connection.h"

#include <chrono>

#include <boost/asio/experimental/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <sys/socket.h>

namespace bessemer::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;

constexpr auto use_tuple = asio::experimental::as_tuple(asio::use_awaitable);
constexpr uint32_t kMaxHeaderBytes = 64 * 1024;

// A body that is handed on as it arrives and never kept.
struct PassingBody {
  using value_type = const BodySink*;
  class reader {
   public:
    template <bool is_request, class Fields>
    reader(http::header<is_request, Fields>& header, value_type& sink)
        : status_([&header] { return static_cast<int>(header.result_int()); }), sink_(sink) {}
    void init(const boost::optional<uint64_t>&, error_code& error) { error = {}; }
    template <class Buffers>
    size_t put(const Buffers& buffers, error_code& error) {
      error = {};
      for (const asio::const_buffer piece : beast::buffers_range_ref(buffers)) {
        const std::string_view bytes(static_cast<const char*>(piece.data()), piece.size());
        if (!(*sink_)(status_(), bytes)) error = http::error::end_of_stream;
      }
      return beast::buffer_bytes(buffers);
    }
    void finish(error_code& error) { error = {}; }

   private:
    std::function<int()> status_;
    value_type& sink_;
  };
};

http::request<http::string_body> message(const HttpRequest& request, const tcp::endpoint& server) {
  http::request<http::string_body> message(http::string_to_verb(request.method), request.path, 11);
  message.set(http::field::host,
              server.address().to_string() + ":" + std::to_string(server.port()));
  message.set(http::field::user_agent, "bessemer-bench-serve");
  if (!request.api_key.empty())
    message.set(http::field::authorization, "Bearer " + request.api_key);
  if (!request.body.empty()) {
    message.set(http::field::content_type, "application/json");
    message.body() = request.body;
  }
  message.keep_alive(true);
  message.prepare_payload();
  return message;
}

HttpEnd failed(Failure failure, const char* doing, const error_code& error) {
  return {.failure = failure, .message = std::string(doing) + ": " + error.message(), .status = 0};
}

// Beast's own errors but those of a connection's end mean that the peer does not speak HTTP.
Failure failure_of(const error_code& error) {
  static const auto& http_category = http::make_error_code(http::error::bad_version).category();
  const bool ended = error == http::error::end_of_stream || error == http::error::partial_message;
  return error.category() == http_category && !ended ? Failure::malformed : Failure::lost;
}

bool closed_by_peer(const error_code& error) {
  return error == http::error::end_of_stream || error == asio::error::connection_reset ||
         error == asio::error::broken_pipe;
}

}  // namespace

StatusOr<tcp::endpoint> resolve(asio::io_context& io, const ServerAddress& server) {
  error_code error;
  const auto found = tcp::resolver(io).resolve(server.host, server.port, error);
  if (error || found.empty())
    return absl::UnavailableError("cannot resolve " + server.url() + ": " + error.message());
  return found.begin()->endpoint();
}

Connection::Connection(asio::io_context& io, const tcp::endpoint& server)
    : server_(server), socket_(io), timer_(io) {}

asio::awaitable<HttpEnd> Connection::exchange(const HttpRequest& request, const BodySink& sink,
                                              const std::function<void()>& on_sending,
                                              Duration timeout) {
  arm(timeout);
  HttpEnd end = co_await talk(request, sink, on_sending);
  timer_.cancel();
  if (timed_out_) {
    end.failure = Failure::timeout;
    end.message = "no whole answer in " + std::to_string(microseconds(timeout) / 1000) + " ms";
  }
  if (end.failure != Failure::none) close();
  co_return end;
}

asio::awaitable<HttpEnd> Connection::talk(const HttpRequest& request, const BodySink& sink,
                                          const std::function<void()>& on_sending) {
  if (usable()) {
    on_sending();
    bool untouched = false;
    const HttpEnd end = co_await send(request, sink, untouched);
    if (!untouched) co_return end;
  }
  const error_code error = co_await open();
  if (error) co_return failed(Failure::connect, "connect", error);
  on_sending();
  bool untouched = false;
  co_return co_await send(request, sink, untouched);
}

asio::awaitable<HttpEnd> Connection::send(const HttpRequest& request, const BodySink& sink,
                                          bool& untouched) {
  const http::request<http::string_body> bytes = message(request, server_);
  const auto [write_error, written] = co_await http::async_write(socket_, bytes, use_tuple);
  untouched = closed_by_peer(write_error);
  if (write_error) co_return failed(Failure::lost, "write", write_error);
  http::response_parser<PassingBody> parser;
  parser.body_limit(boost::none);
  parser.header_limit(kMaxHeaderBytes);
  parser.get().body() = &sink;
  const auto [read_error, count] = co_await http::async_read(socket_, buffer_, parser, use_tuple);
  untouched = !parser.got_some() && closed_by_peer(read_error);
  if (read_error) co_return failed(failure_of(read_error), "read", read_error);
  if (!parser.keep_alive()) close();
  co_return HttpEnd{.failure = Failure::none,
                    .message = "",
                    .status = static_cast<int>(parser.get().result_int())};
}

asio::awaitable<error_code> Connection::open() {
  close();
  buffer_.clear();
  const auto [error] = co_await socket_.async_connect(server_, use_tuple);
  if (error) co_return error;
  error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  co_return error_code{};
}

// An idle connection on which something arrived, be it the end, is of no use.
bool Connection::usable() {
  if (!socket_.is_open()) return false;
  char byte;
  const ssize_t count = recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

void Connection::arm(Duration timeout) {
  timed_out_ = false;
  timer_.expires_after(timeout);
  timer_.async_wait([this, exchange = ++exchanges_](error_code error) {
    if (error || exchange != exchanges_) return;
    timed_out_ = true;
    close();
  });
}

void Connection::close() {
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace bessemer::bench
