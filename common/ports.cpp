#include "common/ports.h"

#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bessemer {
namespace {

// An address of either family, with port 0: any free one.
struct SocketAddress {
  sockaddr_storage bytes{};
  socklen_t length = 0;
  sockaddr* generic() { return reinterpret_cast<sockaddr*>(&bytes); }
};

StatusOr<SocketAddress> parse_address(const std::string& given, const std::string& flag) {
  const std::string host = address_to_bind(given);
  SocketAddress address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.bytes);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.bytes);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    address.length = sizeof *v4;
    return address;
  }
  address.bytes = {};
  if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    address.length = sizeof *v6;
    return address;
  }
  return absl::InvalidArgumentError(
      flag +
      " must be an IP address of this machine, like 127.0.0.1, 0.0.0.0 or ::1, or "
      "localhost, not '" +
      host + "'");
}

StatusOr<int> bind_any(int descriptor, SocketAddress address, const std::string& host,
                       const std::string& flag) {
  if (bind(descriptor, address.generic(), address.length) != 0 ||
      getsockname(descriptor, address.generic(), &address.length) != 0) {
    return absl::UnavailableError("cannot bind " + host + " (" + flag +
                                  "): " + std::strerror(errno));
  }
  const bool v4 = address.bytes.ss_family == AF_INET;
  return ntohs(v4 ? reinterpret_cast<const sockaddr_in*>(&address.bytes)->sin_port
                  : reinterpret_cast<const sockaddr_in6*>(&address.bytes)->sin6_port);
}

}  // namespace

std::string address_to_bind(const std::string& host) {
  return host == "localhost" ? "127.0.0.1" : host;
}

Status check_host(const std::string& host, const std::string& flag) {
  return parse_address(host, flag).status();
}

StatusOr<std::vector<int>> free_ports(const std::string& host, int count, const std::string& flag) {
  ASSIGN_OR_RETURN(const SocketAddress address, parse_address(host, flag));
  std::vector<int> descriptors, ports;
  Status error;
  for (int i = 0; i < count && error.ok(); ++i) {
    descriptors.push_back(socket(address.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    StatusOr<int> port = bind_any(descriptors.back(), address, host, flag);
    if (port.ok()) {
      ports.push_back(*port);
    } else {
      error = port.status();
    }
  }
  for (const int descriptor : descriptors)
    close(descriptor);  // only now, so that no two are the same
  if (!error.ok()) return error;
  return ports;
}

}  // namespace bessemer
