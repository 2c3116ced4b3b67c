#pragma once
#include <string>

namespace bessemer {

// "127.0.0.1:8000", "[::1]:8000": an IPv6 address has colons of its own.
inline std::string host_and_port(const std::string& host, int port) {
  const bool bare_ipv6 = host.find(':') != std::string::npos && !host.starts_with('[');
  return (bare_ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

// Whether only this machine reaches it: 127.0.0.0/8, ::1, localhost.
inline bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host == "[::1]" || host.starts_with("127.");
}

}  // namespace bessemer
