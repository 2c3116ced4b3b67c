// What endpoints work with: one RouterContext a process, one CoreContext a core.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/random.h"
#include "router/admission/gate.h"
#include "router/cluster/cluster_view.h"
#include "router/cluster/kv_index.h"
#include "router/cluster/session_table.h"
#include "router/endpoints/attempt_table.h"
#include "router/endpoints/core_inbox.h"
#include "router/endpoints/cpu_pool.h"
#include "router/endpoints/journal.h"
#include "router/endpoints/routing_stats.h"
#include "router/endpoints/stats.h"
#include "router/http/core.h"
#include "router/http/exchange.h"
#include "router/openai/error.h"
#include "router/routing/placement.h"
#include "router/routing/prefix_look.h"
#include "router/routing/resume_pacer.h"
#include "router/telemetry/access_log.h"
#include "router/telemetry/span_exporter.h"
#include "router/tenants/tenant_counters.h"
#include "router/tenants/tenant_directory.h"
#include "router/upstream/fleet.h"

namespace bessemer {

// In a request, with any value: the answer says under the same name which worker was chosen for
// each of its prompts, and why. Only where it is configured.
inline constexpr const char* kDecisionHeader = "x-bessemer-decision";

struct EndpointOptions {
  std::string version;
  PlacementLimits placement;
  size_t pool_body_bytes =
      32 * 1024;  // longer bodies are parsed and tokenised in the pool: about 2 ms of a core
};

// What may change while the router runs: a copy per core, replaced on its thread.
struct EndpointSettings {
  Duration request_timeout = std::chrono::minutes(10);
  std::vector<std::string> cors_origins;  // "*": every one
  double trace_sample_ratio = 1;          // of requests that come without a trace of their own
  bool decision_headers = false;          // answer kDecisionHeader where a request has it
  TenantDirectoryPtr tenants;             // null: nobody needs a key
};

// Only on its core's thread, but for `stats`, which anybody may read.
struct CoreContext {
  Core* core = nullptr;
  EndpointSettings settings;
  ClusterViewPtr view;  // never null
  AttemptTable attempts;
  CoreInbox inbox;  // any thread puts
  std::unique_ptr<Policy> policy;
  ResumePacer pacer;
  std::unordered_map<ResumePacer::Ticket, std::function<void()>> resumes;  // whose turn is to come
  PrefixLook look;  // of the prompt that is being placed
  Random random{random_seed()};
  CoreStats stats;
  RoutingStats routing;
};

struct RouterContext {
  EndpointOptions options;
  std::vector<std::unique_ptr<CoreContext>> cores;
  // A reader for each core; written by the fleet.
  std::unique_ptr<KvIndex> kv_index, kv_pledged;
  SessionTable sessions;
  std::unique_ptr<Fleet> fleet;
  std::unique_ptr<CpuPool> pool;
  std::shared_ptr<JournalBudget> journals;
  Gate gate;
  TenantCounters tenants;
  std::atomic<int32_t> resumes_waiting{0};  // for a worker that goes on
  // Requests that wait for room in a worker.
  size_t waiting() const { return gate.waiting() + static_cast<size_t>(resumes_waiting.load()); }
  std::atomic<bool> draining{false};
  std::unique_ptr<AccessLog> access_log;   // null: none
  std::unique_ptr<SpanExporter> exporter;  // null: no traces begin here
  Counter turned_away;  // connections beyond the limit; written by the acceptor alone
  int64_t started_unix = 0;

  CoreContext& core_of(const Exchange& exchange) { return *cores[exchange.core()]; }
};

// The row of an endpoint in the table; what its requests are counted under.
using EndpointId = size_t;

// The error with its headers (Retry-After, retry-after-ms, x-should-retry; Allow is the caller's).
HttpResponse error_response(const ApiError& error);

struct EndpointCall {
  RouterContext& router;
  CoreContext& core;
  EndpointId endpoint;
  ExchangePtr exchange;
  std::shared_ptr<RequestRecord> record;                           // never null
  TenantPtr tenant;                                                // never null in an endpoint
  HttpResponse (*render_error)(const ApiError&) = error_response;  // as the call's front says it
};

// Once per request, when its answer has been given: counts it and writes it down.
void finish_request(const EndpointCall& call, int status, const RecordedTokens& tokens);
void record_error(const EndpointCall& call, const ApiError& error);

// Answers and finishes.
void respond(const EndpointCall& call, HttpResponse response);
void respond(const EndpointCall& call, const ApiError& error);
void respond_json(const EndpointCall& call, std::string body);

}  // namespace bessemer
