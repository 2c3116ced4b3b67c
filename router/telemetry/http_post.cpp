#include "router/telemetry/http_post.h"

#include <charconv>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "common/version.h"

namespace bessemer {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
constexpr auto use_tuple = asio::experimental::as_tuple(asio::use_awaitable);

constexpr size_t kMaxReplyBytes = 64 * 1024;  // a few words in practice

std::optional<Duration> seconds_of(std::string_view text) {
  int seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds < 0) return std::nullopt;
  return std::chrono::seconds(seconds);
}

class Post {
 public:
  Post(const ServerAddress& server, const std::string& target, const std::string& body)
      : server_(server), request_(http::verb::post, target, 11) {
    request_.set(http::field::host, server.url().substr(sizeof "http://" - 1));
    request_.set(http::field::user_agent, std::string("bessemer/") + kVersion);
    request_.set(http::field::content_type, "application/json");
    request_.keep_alive(false);
    request_.body() = body;
    request_.prepare_payload();
    parser_.body_limit(kMaxReplyBytes);
  }

  StatusOr<PostReply> run(Duration limit) {
    stream_.expires_after(limit);
    asio::co_spawn(context_, talk(), asio::detached);
    context_.run_for(limit + std::chrono::milliseconds(100));  // a name may resolve for longer
    if (done_ && !error_) return reply();
    const std::string why =
        !done_ || error_ == beast::error::timeout ? "no answer in time" : error_.message();
    return absl::UnavailableError("cannot post to " + server_.url() + ": " + why);
  }

 private:
  asio::awaitable<void> talk() {
    error_ = co_await steps();
    done_ = true;
  }

  asio::awaitable<error_code> steps() {
    auto [unknown, endpoints] =
        co_await resolver_.async_resolve(server_.host, server_.port, use_tuple);
    if (unknown) co_return unknown;
    auto [refused, endpoint] = co_await stream_.async_connect(endpoints, use_tuple);
    if (refused) co_return refused;
    auto [unsent, sent] = co_await http::async_write(stream_, request_, use_tuple);
    if (unsent) co_return unsent;
    auto [unread, read] = co_await http::async_read(stream_, buffer_, parser_, use_tuple);
    co_return unread;
  }

  PostReply reply() {
    const auto& message = parser_.get();
    const auto wait = message[http::field::retry_after];
    return {static_cast<int>(message.result_int()), message.body(),
            seconds_of({wait.data(), wait.size()})};
  }

  const ServerAddress& server_;
  asio::io_context context_{1};
  asio::ip::tcp::resolver resolver_{context_};
  beast::tcp_stream stream_{context_};
  http::request<http::string_body> request_;
  beast::flat_buffer buffer_;
  http::response_parser<http::string_body> parser_;
  error_code error_;
  bool done_ = false;
};

}  // namespace

StatusOr<PostReply> post_json(const ServerAddress& server, const std::string& target,
                              const std::string& body, Duration limit) {
  return Post(server, target, body).run(limit);
}

}  // namespace bessemer
