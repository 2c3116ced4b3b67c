// Every setting of every process, once: its name, where it lives and what it means. Flags, YAML
// keys, --print-config and the command lines of child processes are all made from these lists, so
// they cannot disagree.
//
// A visitor is called as visitor(name, member, help); the name is the YAML key, the flag is the
// name with dashes.
#pragma once
#include <string>

#include "router/config.h"
#include "worker/config.h"

namespace bessemer {

struct LogConfig {
  std::string level = "info";  // trace, debug, info, warn, error, off
  bool json = false;
};

struct ServeConfig {
  std::string model = "smollm2";
  int32_t workers = 2;
  LogConfig log;
  RouterConfig router;
  WorkerConfig worker;
};

template <typename Visitor>
void visit_fields(LogConfig& config, Visitor&& visitor) {
  visitor("log_level", config.level, "trace, debug, info, warn, error or off");
  visitor("log_json", config.json, "one JSON object a line instead of text");
}

// Routers and workers have them alike.
template <typename Config, typename Visitor>
void visit_peer_files(Config& config, Visitor& visitor) {
  visitor("peer_cert", config.peer_cert,
          "PEM file with this process's certificate chain: mutual TLS between routers and workers");
  visitor("peer_key", config.peer_key, "PEM file with its private key");
  visitor("peer_ca", config.peer_ca, "PEM file of the authority that signs the peers'");
}

template <typename Visitor>
void visit_fields(WorkerConfig& config, Visitor&& visitor) {
  visitor("model", config.model_path, "GGUF file or alias to serve");
  visitor("name", config.model_name,
          "model name in /v1/models; default: the catalog's or the file's");
  visitor("aliases", config.aliases, "further names that requests may use");
  visitor("max_model_len", config.max_model_len,
          "tokens of one sequence, prompt and output; 0: what the model was trained for");
  visitor("backend", config.backend,
          "auto, cpu, reference, or a plug-in beside the binary (cuda, vulkan)");
  visitor("isa", config.isa,
          "CPU instruction set: scalar, avx2, avx512, amx; default: the best there is");
  visitor("threads", config.threads, "compute threads; 0: this worker's share of the cores");
  visitor("kv_cache_mb", config.kv_cache_mb,
          "memory for keys and values; 0: a share of what is free");
  visitor("kv_memory_fraction", config.kv_memory_fraction,
          "that share, over all workers of this machine");
  visitor("kv_dtype", config.kv_dtype,
          "keys and values as f32, f16, bf16 or int8 (half of f16's memory)");
  visitor("max_sequences", config.max_sequences, "sequences that run at once");
  visitor("step_tokens", config.step_tokens, "tokens of one engine step, at most");
  visitor("stream_step_ms", config.stream_step_ms,
          "while streams run, prompts are cut so that a step takes about this long, or twice its "
          "time without prompts; 0: only step_tokens bounds it");
  visitor("max_waiting", config.max_waiting,
          "admitted requests that wait to run; beyond it: refused");
  visitor("prefix_cache", config.prefix_cache,
          "keep keys and values for requests that begin alike, until the room is needed");
  visitor("host", config.host, "address to bind");
  visitor("port", config.port, "port to bind; 0: any free one");
  visitor("ready_fd", config.ready_fd,
          "descriptor that gets 'READY host:port' once requests are served");
  visitor("node", config.node, "name of this machine; default: the host name");
  visitor("max_lanes", config.max_lanes, "router sessions at once");
  visitor("max_watches", config.max_watches, "watches of routers at once (load, cache, tenants)");
  visitor("max_lane_attempts", config.max_lane_attempts, "requests alive on one session");
  visit_peer_files(config, visitor);
  visitor("lease_ms", config.lease_ms, "a router silent for this long is gone");
  visitor("orphan_ms", config.orphan_ms,
          "how long requests outlive a lost session, for its router to come back");
  visitor("drain_ms", config.drain_ms, "how long running requests may take to finish on shutdown");
}

// Of one tenant in the tenants file; no flags.
template <typename Visitor>
void visit_fields(TenantConfig& tenant, Visitor&& visitor) {
  visitor("name", tenant.name, "1 to 64 of A-Z a-z 0-9 . _ -");
  visitor("keys", tenant.keys, "hashes of its API keys, as `bessemer key` prints them");
  visitor("keyless", tenant.keyless, "requests without a key are this tenant's");
  visitor("weight", tenant.weight, "its share of a cluster that is full");
  visitor("class", tenant.service_class, "interactive, default or batch");
  visitor("requests_per_minute", tenant.requests_per_minute, "0: no limit");
  visitor("tokens_per_minute", tenant.tokens_per_minute, "prompt and output; 0: no limit");
  visitor("admin", tenant.admin, "is told how its requests were placed");
}

template <typename Visitor>
void visit_fields(RouterConfig& config, Visitor&& visitor) {
  visitor("host", config.host, "address to bind; 0.0.0.0: every interface");
  visitor("port", config.port, "port to bind; 0: any free one");
  visitor("threads", config.threads, "cores that serve connections; 0: what affinity allows");
  visitor("workers", config.workers,
          "where workers are: host:port, dns://name:port (each address of the name), "
          "k8s://namespace/service:port (each endpoint of the Service)");
  visitor("dns_interval_ms", config.dns_interval_ms, "between lookups of a dns:// name");
  visitor("kubernetes_api", config.kubernetes_api,
          "https://host:port of the API server, for k8s:// workers; default: the pod's");
  visitor("kubernetes_credentials", config.kubernetes_credentials,
          "folder with token, ca.crt and namespace for it");
  visit_peer_files(config, visitor);
  visitor("policy", config.policy,
          "how a worker is chosen: cache_aware, least_loaded, power_of_two, consistent_hash, "
          "round_robin");
  visitor("decision_headers", config.decision_headers,
          "say in x-bessemer-decision which worker was chosen and why, to requests that have the "
          "header");
  visitor("lanes", config.lanes, "sessions per worker; 0: one per core, at most 4");
  visitor("max_waiting", config.max_waiting, "requests that wait for a worker; beyond it: 429");
  visitor("max_wait_ms", config.max_wait_ms,
          "who would wait for a worker for longer gets 429 and the time to come back");
  visitor("resume_wait_ms", config.resume_wait_ms,
          "how long a stream that lost its worker waits for another; then it ends with an error");
  visitor("journal_mb", config.journal_mb,
          "memory for what streams were given, so that others can go on; 0: none can");
  visitor("stuck_ms", config.stuck_ms,
          "a worker with work and without a step for so long hangs; its requests move");
  visitor("max_connections", config.max_connections, "open connections; beyond it: 503");
  visitor("max_body_bytes", config.max_body_bytes, "longest request body");
  visitor("header_timeout_ms", config.header_timeout_ms, "for a request's head to arrive");
  visitor("body_timeout_ms", config.body_timeout_ms, "for a request's body to arrive");
  visitor("idle_timeout_ms", config.idle_timeout_ms, "of a kept-alive connection");
  visitor("sse_ping_ms", config.sse_ping_ms, "comment frames on a stream where nothing moves");
  visitor("request_timeout_ms", config.request_timeout_ms, "a request's whole life; then 504");
  visitor("cors_origins", config.cors_origins,
          "browser origins that may use the API; *: every one");
  visitor("drain_notice_ms", config.drain_notice_ms,
          "on shutdown, how long /readyz fails before connections are refused, for load balancers");
  visitor("drain_ms", config.drain_ms, "how long streams may take to finish on shutdown");
  visitor(
      "grpc_port", config.grpc_port,
      "port of bessemer.v1.Inference over gRPC, on the same address; 0: any free one; -1: none");
  visitor("tls_cert", config.tls_cert,
          "PEM file with the certificate chain: HTTPS instead of HTTP; read again when it changes");
  visitor("tls_key", config.tls_key, "PEM file with its private key");
  visitor("tenants_file", config.tenants_file,
          "YAML file of who may ask: tenants with the hashes of their keys, weights and limits; "
          "read again when it changes; default: everybody may");
  visitor("access_log", config.access_log,
          "file that gets a JSON line for each request, opened anew on SIGHUP; -: standard output; "
          "default: none");
  visitor(
      "otlp_endpoint", config.otlp_endpoint,
      "http://host:port of an OpenTelemetry collector that gets spans over OTLP/HTTP (port 4318 "
      "where none is given); default: none");
  visitor("trace_sample_ratio", config.trace_sample_ratio,
          "share of the requests without a traceparent of their own that are traced");
  visitor("cache_dir", config.cache_dir,
          "where tokenizers are kept by hash; default: the model cache");
  visitor("ready_fd", config.ready_fd,
          "descriptor that gets 'READY host:port' once connections are accepted");
  visitor("ready_workers", config.ready_workers, "that line waits until so many workers are ready");
}

}  // namespace bessemer
