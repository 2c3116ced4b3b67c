// Where workers are, as the configuration says it: an address, a name in DNS, or a Service of
// Kubernetes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "router/cluster/roster.h"

namespace bessemer {

// Each costs lanes, a load slot and a share of every placement.
constexpr size_t kMaxWorkers = 1024;
// A name or a Service costs a lookup or a watch.
constexpr size_t kMaxWatchedSources = 64;

struct WorkerSource {
  enum class Kind : uint8_t { address, dns, kubernetes };
  Kind kind = Kind::address;
  std::string text;        // as configured; identifies the source
  std::string host, port;  // address and dns. Kubernetes: port by name or number
  // Kubernetes; an empty name space is the router's own.
  std::string name_space, service;
};

// One of
//   host:port                       this worker (an IPv6 address goes in brackets)
//   dns://name:port                 every address of the name, looked up again and again
//   k8s://namespace/service:port    every endpoint of the Service; "k8s:///service:port": in the
//                                   router's own namespace. The port by its name or its number
// The error names the text and what it should look like.
StatusOr<WorkerSource> parse_worker_source(const std::string& text);

// Those that are addresses: members whatever anybody looks up.
std::vector<Member> fixed_members(const std::vector<WorkerSource>& sources);

// All of a list; an error names the first that is none, or that occurs twice.
StatusOr<std::vector<WorkerSource>> parse_worker_sources(const std::vector<std::string>& texts);

}  // namespace bessemer
