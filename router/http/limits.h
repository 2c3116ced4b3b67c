// Every bound of the HTTP front.
#pragma once
#include <chrono>
#include <cstddef>

namespace bessemer {

struct HttpLimits {
  size_t max_connections = 16384;       // about 20 kB each when idle: 330 MB
  size_t max_header_bytes = 32 * 1024;  // proxies add up to 16 KiB of cookies and tracing headers
  size_t max_body_bytes = 16 * 1024 * 1024;  // a million tokens of text is about 5 MB
  size_t max_body_total_bytes =
      512 * 1024 * 1024;                // bodies being read or parsed, all connections together
  size_t read_ahead_bytes = 16 * 1024;  // pipelined input kept while a request is answered
  size_t max_output_bytes = 4 * 1024 * 1024;  // unsent frames of one client's stream
  size_t max_answer_bytes =
      64 * 1024 * 1024;  // one whole answer: 40,000 tokens with 20 alternatives of 80 bytes each
  size_t max_answer_total_bytes = 512 * 1024 * 1024;  // those that have not left, all together
  std::chrono::milliseconds idle_timeout{
      75'000};  // between requests; above the 60 s of usual load balancers
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{60'000};
  std::chrono::milliseconds write_timeout{30'000};  // without the client taking a byte
  std::chrono::milliseconds linger_timeout{1'000};  // after an error, for the client to read it
  std::chrono::milliseconds ping_interval{15'000};  // of an idle event stream
};

}  // namespace bessemer
