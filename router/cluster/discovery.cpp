#include "router/cluster/discovery.h"

#include <charconv>
#include <set>

namespace bessemer {
namespace {

bool is_port(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port > 0 && port < 65536;
}

bool is_host_port(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view host = address.substr(0, colon);
  const bool bracketed = host.front() == '[' && host.back() == ']';
  if (!bracketed && host.find(':') != std::string_view::npos) return false;
  return host.find_first_of(" \t/,") == std::string_view::npos &&
         is_port(address.substr(colon + 1));
}

}  // namespace

StatusOr<std::vector<std::string>> static_workers(const std::vector<std::string>& addresses) {
  if (addresses.size() > kMaxWorkers) {
    return absl::InvalidArgumentError("at most " + std::to_string(kMaxWorkers) + " workers, not " +
                                      std::to_string(addresses.size()));
  }
  std::set<std::string> seen;
  for (const auto& address : addresses) {
    if (!is_host_port(address)) {
      return absl::InvalidArgumentError("worker '" + address +
                                        "' is not host:port (an IPv6 address goes in brackets)");
    }
    if (!seen.insert(address).second)
      return absl::InvalidArgumentError("worker " + address + " is listed twice");
  }
  return addresses;
}

}  // namespace bessemer
