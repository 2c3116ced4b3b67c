#include "cli/serve/ports.h"

#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bessemer {
namespace {

StatusOr<int> bind_any(int descriptor, const std::string& host) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) {
    return absl::InvalidArgumentError("worker.host must be an IPv4 address, not '" + host + "'");
  }
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(descriptor, generic, length) != 0 || getsockname(descriptor, generic, &length) != 0) {
    return absl::UnavailableError("cannot bind " + host + ": " + std::strerror(errno));
  }
  return ntohs(address.sin_port);
}

}  // namespace

StatusOr<std::vector<int>> free_ports(const std::string& host, int count) {
  std::vector<int> descriptors, ports;
  Status error;
  for (int i = 0; i < count && error.ok(); ++i) {
    descriptors.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    StatusOr<int> port = bind_any(descriptors.back(), host);
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
