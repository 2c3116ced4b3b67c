#include "cli/run/http_stream.h"

#include <algorithm>
#include <array>

#include <boost/asio.hpp>
#include <boost/asio/experimental/as_tuple.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace bessemer {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;

constexpr size_t kErrorBodyBytes = 1u << 20;
constexpr auto use_tuple = asio::experimental::as_tuple(asio::use_awaitable);

class Exchange {
 public:
  Exchange(const ServerAddress& server, http::request<http::string_body> request,
           const std::function<void(std::string_view)>& on_data)
      : server_(server), request_(std::move(request)), on_data_(on_data), socket_(context_) {
    parser_.body_limit(boost::none);
  }

  StatusOr<HttpAnswer> run(const Interrupts* interrupts) {
    if (interrupts != nullptr) listen_to(*interrupts);
    asio::co_spawn(context_, talk(), asio::detached);
    context_.run();
    interrupt_.release();  // it is not ours to close
    if (answer_.interrupted || status_.ok()) return answer_;
    return status_;
  }

 private:
  void listen_to(const Interrupts& interrupts) {
    interrupt_.assign(interrupts.descriptor());
    interrupt_.async_wait(asio::posix::descriptor_base::wait_read,
                          [this](boost::system::error_code error) {
                            if (error) return;
                            answer_.interrupted = true;
                            boost::system::error_code ignored;
                            socket_.close(ignored);
                            resolver_.cancel();
                          });
  }

  asio::awaitable<void> talk() {
    auto [resolve_error, endpoints] =
        co_await resolver_.async_resolve(server_.host, server_.port, use_tuple);
    if (resolve_error) co_return done(resolve_error, "resolve");
    if (answer_.interrupted) co_return;  // too late to cancel, too early for a socket to be closed
    auto [connect_error, endpoint] = co_await asio::async_connect(socket_, endpoints, use_tuple);
    if (connect_error) co_return done(connect_error, "connect to");
    auto [write_error, written] = co_await http::async_write(socket_, request_, use_tuple);
    if (write_error) co_return done(write_error, "write to");
    auto [header_error, header_bytes] =
        co_await http::async_read_header(socket_, buffer_, parser_, use_tuple);
    if (header_error) co_return done(header_error, "read from");
    answer_.status = static_cast<int>(parser_.get().result_int());
    boost::system::error_code error = co_await read_body();
    done(error, "read from");
  }

  asio::awaitable<boost::system::error_code> read_body() {
    std::array<char, 16384> piece;
    while (!parser_.is_done()) {
      parser_.get().body().data = piece.data();
      parser_.get().body().size = piece.size();
      auto [error, count] = co_await http::async_read_some(socket_, buffer_, parser_, use_tuple);
      const std::string_view data(piece.data(), piece.size() - parser_.get().body().size);
      if (answer_.status == 200) {
        on_data_(data);
      } else if (answer_.body.size() < kErrorBodyBytes) {
        answer_.body += data;
      }
      if (error && error != http::error::need_buffer) co_return error;
    }
    co_return boost::system::error_code{};
  }

  void done(boost::system::error_code error, const std::string& verb) {
    boost::system::error_code ignored;
    interrupt_.cancel(ignored);
    socket_.close(ignored);
    if (!error) return;
    status_ =
        absl::UnavailableError("cannot " + verb + " " + server_.url() + ": " + error.message());
  }

  ServerAddress server_;
  http::request<http::string_body> request_;
  const std::function<void(std::string_view)>& on_data_;
  asio::io_context context_{1};
  tcp::resolver resolver_{context_};
  tcp::socket socket_;
  asio::posix::stream_descriptor interrupt_{context_};
  boost::beast::flat_buffer buffer_;
  http::response_parser<http::buffer_body> parser_;
  HttpAnswer answer_;
  Status status_;
};

}  // namespace

StatusOr<HttpAnswer> http_exchange(const ServerAddress& server, const std::string& method,
                                   const std::string& target, const std::string& body,
                                   const std::function<void(std::string_view)>& on_data,
                                   const Interrupts* interrupts) {
  http::request<http::string_body> request(method == "POST" ? http::verb::post : http::verb::get,
                                           target, 11);
  request.set(http::field::host, server.url().substr(7));
  request.set(http::field::user_agent, "bessemer-run");
  request.keep_alive(false);
  if (!body.empty()) {
    request.set(http::field::content_type, "application/json");
    request.body() = body;
  }
  request.prepare_payload();
  return Exchange(server, std::move(request), on_data).run(interrupts);
}

}  // namespace bessemer
