#include "bench/serve/fetch.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "bench/serve/connection.h"

namespace bessemer::bench {
namespace {

namespace asio = boost::asio;

constexpr size_t kMaxFetchedBytes = 1u << 20;

asio::awaitable<void> talk(Connection& connection, const HttpRequest& request, Duration timeout,
                           HttpEnd& end, std::string& body) {
  const BodySink keep = [&body](int, std::string_view piece) {
    body += piece;
    return body.size() <= kMaxFetchedBytes;
  };
  const std::function<void()> nothing = [] {};
  end = co_await connection.exchange(request, keep, nothing, timeout);
}

}  // namespace

StatusOr<Fetched> fetch(const Target& target, const std::string& path, const std::string& body,
                        Duration timeout) {
  asio::io_context io(1);
  ASSIGN_OR_RETURN(const asio::ip::tcp::endpoint server, resolve(io, target.server));
  Connection connection(io, server);
  const HttpRequest request{.method = body.empty() ? "GET" : "POST",
                            .path = path,
                            .body = body,
                            .api_key = target.api_key};
  HttpEnd end;
  Fetched fetched;
  asio::co_spawn(io, talk(connection, request, timeout, end, fetched.body), asio::detached);
  io.run();
  if (end.failure != Failure::none) {
    return absl::UnavailableError(target.server.url() + path + ": " + end.message);
  }
  fetched.status = end.status;
  return fetched;
}

}  // namespace bessemer::bench
