#include "router/config.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/ports.h"
#include "common/server_address.h"
#include "router/cluster/worker_source.h"
#include "router/routing/policy.h"
#include "router/telemetry/span_exporter.h"
#include "router/tenants/tenant_directory.h"

namespace bessemer {
namespace {

struct Bound {
  const char* name;
  int64_t value, low, high;
};

constexpr int32_t kDayMs = 86'400'000;

// A part of it would look like security and be none.
Status check_tls(const RouterConfig& config) {
  if (config.tls_cert.empty() != config.tls_key.empty())
    return absl::InvalidArgumentError("tls_cert and tls_key go together: give both, or none");
  const bool none = config.peer_cert.empty() && config.peer_key.empty() && config.peer_ca.empty();
  const bool all = !config.peer_cert.empty() && !config.peer_key.empty() && !config.peer_ca.empty();
  if (none || all) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "peer_cert, peer_key and peer_ca go together: give all three, or none");
}

Status validate_traces(const RouterConfig& config) {
  if (!(config.trace_sample_ratio >= 0 && config.trace_sample_ratio <= 1)) {
    return absl::InvalidArgumentError(
        fmt::format("trace_sample_ratio must be from 0 to 1, not {}", config.trace_sample_ratio));
  }
  if (config.otlp_endpoint.empty()) return absl::OkStatus();
  return annotate(parse_server_url(config.otlp_endpoint, kOtlpPort).status(), "otlp_endpoint");
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
           Bound{"drain_notice_ms", config.drain_notice_ms, 0, kDayMs},
           Bound{"drain_ms", config.drain_ms, 0, kDayMs},
           Bound{"dns_interval_ms", config.dns_interval_ms, 100, kDayMs},
           Bound{"grpc_port", config.grpc_port, -1, 65535},
           Bound{"lanes", config.lanes, 0, 64},
           Bound{"resume_wait_ms", config.resume_wait_ms, 0, kDayMs},
           Bound{"journal_mb", config.journal_mb, 0, 1 << 20},
           Bound{"stuck_ms", config.stuck_ms, 100, kDayMs},
           Bound{"ready_workers", config.ready_workers, 0, 4096},
           Bound{"max_waiting", config.max_waiting, 0, 1'000'000},
           Bound{"max_wait_ms", config.max_wait_ms, 1, kDayMs},
       }) {
    if (bound.value < bound.low || bound.value > bound.high) {
      return absl::InvalidArgumentError(fmt::format("{} must be from {} to {}, not {}", bound.name,
                                                    bound.low, bound.high, bound.value));
    }
  }
  RETURN_IF_ERROR(check_host(config.host, "host"));
  RETURN_IF_ERROR(check_tls(config));
  RETURN_IF_ERROR(validate_traces(config));
  RETURN_IF_ERROR(annotate(TenantDirectory::make(config.tenants).status(), config.tenants_file));
  RETURN_IF_ERROR(make_policy(config.policy).status());
  ASSIGN_OR_RETURN(const auto sources, parse_worker_sources(config.workers));
  const auto in_kubernetes = [](const WorkerSource& source) {
    return source.kind == WorkerSource::Kind::kubernetes;
  };
  if (std::ranges::any_of(sources, in_kubernetes) && config.kubernetes_api.empty()) {
    return absl::InvalidArgumentError(
        "workers from k8s:// need kubernetes_api: this process does not run in a pod, so name the "
        "https://host:port of the API server");
  }
  return absl::OkStatus();
}

}  // namespace bessemer
