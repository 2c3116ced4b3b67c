#include "router/config.h"

#include <fmt/format.h>

#include "router/cluster/discovery.h"
#include "router/routing/policy.h"

namespace bessemer {
namespace {

struct Bound {
  const char* name;
  int64_t value, low, high;
};

constexpr int32_t kDayMs = 86'400'000;

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
           Bound{"lanes", config.lanes, 0, 64},
           Bound{"max_waiting", config.max_waiting, 0, 1'000'000},
       }) {
    if (bound.value < bound.low || bound.value > bound.high) {
      return absl::InvalidArgumentError(fmt::format("{} must be from {} to {}, not {}", bound.name,
                                                    bound.low, bound.high, bound.value));
    }
  }
  RETURN_IF_ERROR(make_policy(config.policy).status());
  return static_workers(config.workers).status();
}

}  // namespace bessemer
