// Where an HTTP server listens, as people write it.
#pragma once
#include <string>

#include "common/status.h"

namespace bessemer {

struct ServerAddress {
  std::string host = "127.0.0.1";
  std::string port = "8000";
  std::string url() const;  // "http://[::1]:8000"
};

// "http://host:port", "host:port" or "host" (an IPv6 host in brackets), with or without "/v1"
// behind it; InvalidArgument for anything else (https is not spoken here).
StatusOr<ServerAddress> parse_server_url(const std::string& url,
                                         const std::string& default_port = "8000");

}  // namespace bessemer
