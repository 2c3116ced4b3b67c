// All that a router process can be told: plain values with defaults, filled from YAML and flags by
// the command line, checked once, then constant.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "router/tenants/tenant.h"

namespace bessemer {

struct RouterConfig {
  // Front
  std::string host = "127.0.0.1";
  int32_t port = 8000;        // 0: any free one
  int32_t threads = 0;        // cores that serve connections; 0: what affinity allows
  int32_t ready_fd = 1;       // gets one line "READY <host>:<port>\n" once connections are accepted
  int32_t ready_workers = 0;  // that line waits until so many are ready
  int32_t max_connections = 4096;  // beyond it: 503 and close
  int64_t max_body_bytes = 16 << 20;
  int32_t header_timeout_ms = 10'000;     // for a request's head
  int32_t body_timeout_ms = 30'000;       // for its body
  int32_t idle_timeout_ms = 75'000;       // of a kept-alive connection
  int32_t sse_ping_ms = 15'000;           // comment frames on a stream where nothing moves
  int32_t request_timeout_ms = 600'000;   // a request's whole life
  std::vector<std::string> cors_origins;  // browser origins that may use the API; "*": every one
  // SIGTERM: how long /readyz fails while everybody is served as before, for load balancers to notice.
  int32_t drain_notice_ms = 0;
  int32_t drain_ms = 30'000;      // then: how long streams may take to finish
  std::string tls_cert, tls_key;  // PEM files: HTTPS with this certificate; empty: plain HTTP
  int32_t grpc_port = -1;         // of bessemer.v1.Inference; 0: any free one; -1: none

  // Who may ask. The file names them; the command line reads it into `tenants`.
  std::string tenants_file;  // empty: everybody may
  std::vector<TenantConfig> tenants;

  // What is written down of requests
  std::string access_log;     // a file, or "-": standard output; empty: none
  std::string otlp_endpoint;  // http://host:port of an OpenTelemetry collector; empty: no traces
  double trace_sample_ratio = 1;  // of the requests that come without a trace

  // Workers
  std::vector<std::string> workers;  // where they are: see router/cluster/worker_source.h
  int32_t dns_interval_ms = 5'000;   // between lookups of a dns:// source
  std::string kubernetes_api;        // https://host:port, for k8s:// sources
  std::string kubernetes_credentials = "/var/run/secrets/kubernetes.io/serviceaccount";
  // How a worker is chosen (router/routing): cache_aware, least_loaded, power_of_two,
  // consistent_hash, round_robin.
  std::string policy = "cache_aware";
  bool decision_headers = false;  // x-bessemer-decision in answers to requests that have it
  int32_t lanes = 0;              // sessions per worker; 0: min(cores, 4)
  int32_t max_waiting = 1024;     // requests that wait for a worker; beyond it: 429
  int32_t max_wait_ms = 20'000;   // who would wait for longer: 429 with the time to come back

  std::string peer_cert, peer_key, peer_ca;  // PEM files: mutual TLS with workers; empty: plain
  // Streams that lose their worker
  int32_t resume_wait_ms =
      60'000;  // how long one waits for another worker; then it ends with an error
  int32_t journal_mb =
      256;  // for what streams were given: 64 Mi tokens, 16 Ki for each of 4,096; 0: no resumes
  int32_t stuck_ms = 2'000;  // a worker with work and without a step for so long hangs

  std::string cache_dir;  // where vocabularies are kept by hash; empty: not kept
};

// InvalidArgument names the first value that cannot be, and what it may be.
Status validate(const RouterConfig& config);

}  // namespace bessemer
