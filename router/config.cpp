#include "router/config.h"

#include <fmt/format.h>

#include "common/server_address.h"
#include "router/cluster/discovery.h"
#include "router/routing/policy.h"

namespace bessemer {
namespace {

struct Bound {
  const char* name;
  int64_t value, low, high;
};

constexpr int32_t kDayMs = 86'400'000;

Status validate_traces(const RouterConfig& config) {
  if (!(config.trace_sample_ratio >= 0 && config.trace_sample_ratio <= 1)) {
    return absl::InvalidArgumentError(
        fmt::format("trace_sample_ratio must be from 0 to 1, not {}", config.trace_sample_ratio));
  }
  if (config.otlp_endpoint.empty()) return absl::OkStatus();
  return annotate(parse_server_url(config.otlp_endpoint).status(), "otlp_endpoint");
}

}  // namespace

Status validate(const RouterConfig& config) {
  for (const Bound& bound : {
           Bound{"port", config.port, 0, 65535},
           Bound{"threads", config.threads, 0, 1024},
           Bound{"max_connections", config.max_connections, 1, 1'000'000},
           Bound{"max_body_bytes", config.max_body_bytes, 1024, int64_t{1} << 30},
           Bound{"header_timeout_ms", config.header_timeout_ms, 1, kDayMs},
           Bound{"body_timeout_ms", config.body_timeout_ms, 1, kDayMs},
           Bound{"idle_timeout_ms", config.idle_timeout_ms, 1, kDayMs},
           Bound{"sse_ping_ms", config.sse_ping_ms, 1, kDayMs},
           Bound{"request_timeout_ms", config.request_timeout_ms, 1, kDayMs},
           Bound{"drain_ms", config.drain_ms, 0, kDayMs},
           Bound{"grpc_port", config.grpc_port, -1, 65535},
           Bound{"lanes", config.lanes, 0, 64},
           Bound{"max_waiting", config.max_waiting, 0, 1'000'000},
       }) {
    if (bound.value < bound.low || bound.value > bound.high) {
      return absl::InvalidArgumentError(fmt::format("{} must be from {} to {}, not {}", bound.name,
                                                    bound.low, bound.high, bound.value));
    }
  }
  RETURN_IF_ERROR(validate_traces(config));
  RETURN_IF_ERROR(make_policy(config.policy).status());
  return static_workers(config.workers).status();
}

}  // namespace bessemer
