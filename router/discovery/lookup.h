// The addresses of a name.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "common/status.h"

namespace bessemer {

class Lookup {
 public:
  virtual ~Lookup() = default;
  // "address:port" of each, IPv4 and IPv6; not empty. One at a time.
  virtual boost::asio::awaitable<StatusOr<std::vector<std::string>>> find(std::string host,
                                                                          std::string port) = 0;
  // What is under way ends with an error.
  virtual void cancel() = 0;
};

// As the system resolves names (getaddrinfo): /etc/hosts, search domains, DNS. What cannot be
// cancelled is a question that is on the wire: the end of `io` waits for it, for as long as
// resolv.conf lets a name server be silent (timeout x attempts, ten seconds by default).
std::unique_ptr<Lookup> make_system_lookup(boost::asio::io_context& io);

}  // namespace bessemer
