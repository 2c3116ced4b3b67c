// One keep-alive connection to an HTTP server, on one event loop. Included by connection.cpp,
// fetch.cpp and load.cpp only: it brings Asio and Beast with it.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include "bench/serve/outcome.h"
#include "common/server_address.h"

namespace bessemer::bench {

struct HttpRequest {
  std::string method = "GET", path = "/", body, api_key;
};

struct HttpEnd {
  Failure failure = Failure::none;  // connect, lost, timeout or malformed
  std::string message;
  int status = 0;
};

// A piece of the body of an answer with this status. False: stop reading; the exchange then ends
// as `lost`, which the caller, who knows better, overrides.
using BodySink = std::function<bool(int status, std::string_view piece)>;

class Connection {
 public:
  Connection(boost::asio::io_context& io, const boost::asio::ip::tcp::endpoint& server);

  // One request, one answer. Connects first when there is no connection or the server has closed
  // it since; calls `on_sending` when it is there, and again where a kept connection turns out to
  // have been closed before a byte of the answer came, and a new one takes its place. After any
  // failure the connection is closed. One exchange at a time.
  boost::asio::awaitable<HttpEnd> exchange(const HttpRequest& request, const BodySink& sink,
                                           const std::function<void()>& on_sending,
                                           Duration timeout);

 private:
  boost::asio::awaitable<HttpEnd> talk(const HttpRequest& request, const BodySink& sink,
                                       const std::function<void()>& on_sending);
  // untouched: the peer had closed the connection before it read the request, or as if it had.
  boost::asio::awaitable<HttpEnd> send(const HttpRequest& request, const BodySink& sink,
                                       bool& untouched);
  boost::asio::awaitable<boost::system::error_code> open();
  bool usable();
  void arm(Duration timeout);
  void close();

  const boost::asio::ip::tcp::endpoint server_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;
  boost::beast::flat_buffer buffer_;
  uint64_t exchanges_ = 0;  // so that a timer of an earlier one does nothing
  bool timed_out_ = false;
};

// Unavailable: the name is not known.
StatusOr<boost::asio::ip::tcp::endpoint> resolve(boost::asio::io_context& io,
                                                 const ServerAddress& server);

}  // namespace bessemer::bench
