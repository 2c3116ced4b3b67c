#include "router/discovery/lookup.h"

#include <boost/asio/ip/tcp.hpp>

#include "common/address.h"
#include "router/discovery/watcher.h"

namespace bessemer {
namespace {

using boost::asio::ip::tcp;

class SystemLookup final : public Lookup {
 public:
  explicit SystemLookup(boost::asio::io_context& io) : resolver_(io) {}

  boost::asio::awaitable<StatusOr<std::vector<std::string>>> find(std::string host,
                                                                  std::string port) override {
    const auto flags = tcp::resolver::numeric_service;
    const auto [error, results] = co_await resolver_.async_resolve(host, port, flags, kAwaitTuple);
    if (error) co_return absl::UnavailableError(error.message());
    std::vector<std::string> addresses;
    for (const auto& result : results) {
      const tcp::endpoint endpoint = result.endpoint();
      addresses.push_back(host_and_port(endpoint.address().to_string(), endpoint.port()));
    }
    if (addresses.empty()) co_return absl::NotFoundError("the name has no address");
    co_return addresses;
  }
  void cancel() override { resolver_.cancel(); }

 private:
  tcp::resolver resolver_;
};

}  // namespace

std::unique_ptr<Lookup> make_system_lookup(boost::asio::io_context& io) {
  return std::make_unique<SystemLookup>(io);
}

}  // namespace bessemer
