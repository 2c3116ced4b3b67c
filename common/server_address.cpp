#include "common/server_address.h"

#include <cstdlib>

#include "common/address.h"

namespace bessemer {

std::string ServerAddress::url() const {
  return "http://" + host_and_port(host, std::atoi(port.c_str()));
}

StatusOr<ServerAddress> parse_server_url(const std::string& url, const std::string& default_port) {
  std::string rest = url;
  if (rest.starts_with("https://"))
    return absl::InvalidArgumentError(
        url + ": https is not spoken here; put the plain http address of the server");
  if (rest.starts_with("http://")) rest = rest.substr(7);
  while (!rest.empty() && rest.back() == '/') rest.pop_back();
  if (rest.ends_with("/v1")) rest.resize(rest.size() - 3);
  ServerAddress server;
  server.port = default_port;
  const size_t bracket = rest.starts_with('[') ? rest.find(']') : std::string::npos;
  const size_t colon = rest.find(':', bracket == std::string::npos ? 0 : bracket);
  server.host = bracket == std::string::npos ? rest.substr(0, colon) : rest.substr(1, bracket - 1);
  if (colon != std::string::npos) server.port = rest.substr(colon + 1);
  const bool digits =
      !server.port.empty() && server.port.find_first_not_of("0123456789") == std::string::npos;
  if (server.host.empty() || !digits || rest.find('/') != std::string::npos) {
    return absl::InvalidArgumentError(
        url + " is no server address; it looks like http://127.0.0.1:" + default_port);
  }
  return server;
}

}  // namespace bessemer
