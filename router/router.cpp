#include "router/router.h"

#include <algorithm>
#include <atomic>
#include <ctime>

#include <absl/synchronization/mutex.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include "common/log.h"
#include "common/server_address.h"
#include "common/version.h"
#include "router/discovery/discovery.h"
#include "router/endpoints/context.h"
#include "router/endpoints/model_text.h"
#include "router/endpoints/record.h"
#include "router/endpoints/rpc_status.h"
#include "router/endpoints/table.h"
#include "router/http/server.h"
#include "router/http/tls_context.h"
#include "router/rpc/server.h"

namespace bessemer {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMaxLanes = 4;  // one more lane is one more message a step for the worker
constexpr size_t kPoolQueue =
    256;  // long prompts that wait for the pool: a second or two of its work

size_t usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<size_t>(std::max(CPU_COUNT(&set), 1));
}

HttpServerOptions http_options(const RouterConfig& config) {
  HttpServerOptions options;
  options.host = config.host;
  options.port = static_cast<uint16_t>(config.port);
  options.cores = config.threads > 0 ? static_cast<size_t>(config.threads) : usable_cores();
  options.limits.max_connections = static_cast<size_t>(config.max_connections);
  options.limits.max_body_bytes = static_cast<size_t>(config.max_body_bytes);
  options.limits.header_timeout = milliseconds(config.header_timeout_ms);
  options.limits.body_timeout = milliseconds(config.body_timeout_ms);
  options.limits.idle_timeout = milliseconds(config.idle_timeout_ms);
  options.limits.ping_interval = milliseconds(config.sse_ping_ms);
  return options;
}

EndpointSettings endpoint_settings(const RouterConfig& config) {
  EndpointSettings settings;
  settings.request_timeout = milliseconds(config.request_timeout_ms);
  settings.cors_origins = config.cors_origins;
  settings.decision_headers = config.decision_headers;
  settings.tenants = *TenantDirectory::make(config.tenants);  // validate() made one too
  settings.trace_sample_ratio = config.trace_sample_ratio;
  return settings;
}

RoomLimits room_limits(const RouterConfig& config) {
  return {static_cast<size_t>(config.max_waiting), milliseconds(config.max_wait_ms)};
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

FleetOptions fleet_options(const RouterConfig& config, const std::vector<WorkerSource>& sources,
                           size_t cores) {
  FleetOptions options;
  options.members = fixed_members(sources);
  options.version = kVersion;
  options.lanes = config.lanes > 0 ? static_cast<size_t>(config.lanes) : std::min(cores, kMaxLanes);
  options.stuck_after = milliseconds(config.stuck_ms);
  options.cache_folder = config.cache_dir.empty() ? "" : config.cache_dir + "/vocabularies";
  options.node = host_name();
  return options;
}

TlsFiles front_files(const RouterConfig& config) {
  return {"tls", config.tls_cert, config.tls_key, ""};
}

DiscoveryOptions discovery_options(const RouterConfig& config) {
  DiscoveryOptions options;
  options.dns_interval = milliseconds(config.dns_interval_ms);
  options.kubernetes.api = config.kubernetes_api;
  options.kubernetes.credentials = config.kubernetes_credentials;
  return options;
}

// An error of a front itself.
ApiError front_error(int status, std::string_view message, size_t body_limit) {
  const std::string text(message);
  ApiError error;
  if (status == 413) {
    error = body_too_large(body_limit);
  } else if (status == 503) {
    error = unavailable(text, 1000);
  } else if (status >= 500) {
    error = server_error(text);
  } else {
    error = malformed_body(text);
    error.status = status;
  }
  return error;
}

class RouterImpl final : public Router {
 public:
  RouterImpl(const RouterConfig& config, const HttpServerOptions& http,
             std::shared_ptr<TlsContext> tls, std::shared_ptr<const PeerCredentials> peers)
      : tls_(std::move(tls)),
        server_(HttpServer::create(http)),
        body_limit_(http.limits.max_body_bytes),
        policy_(config.policy) {
    context_.options.version = kVersion;
    context_.gate.set_limits(room_limits(config));
    context_.options.placement.resume_wait = milliseconds(config.resume_wait_ms);
    context_.journals = std::make_shared<JournalBudget>(int64_t{config.journal_mb} << 20);
    context_.started_unix = std::time(nullptr);
    context_.pool = std::make_unique<CpuPool>(http.cores, kPoolQueue);
    const EndpointSettings settings = endpoint_settings(config);
    for (Core* core : server_->cores()) {
      auto each = std::make_unique<CoreContext>();
      each->core = core;
      each->view = std::make_shared<const ClusterView>();
      each->settings = settings;
      each->policy = *make_policy(config.policy);
      context_.cores.push_back(std::move(each));
    }
    const auto sources = *parse_worker_sources(config.workers);  // validate() read them
    context_.kv_index = std::make_unique<KvIndex>(http.cores, random_seed());
    context_.kv_pledged = std::make_unique<KvIndex>(http.cores, random_seed(), kMaxPledgeBytes);
    FleetOptions fleet = fleet_options(config, sources, http.cores);
    fleet.kv_index = context_.kv_index.get();
    fleet.kv_pledged = context_.kv_pledged.get();
    fleet.credentials = std::move(peers);
    context_.fleet = Fleet::create(fleet, hooks());
    discovery_ = Discovery::create(
        discovery_options(config),
        [this](const std::vector<Member>& members) { context_.fleet->set_members(members); });
    discovery_->set_sources(sources);
    if (config.grpc_port < 0) return;
    const RpcServerOptions rpc{config.host, static_cast<uint16_t>(config.grpc_port), http.limits,
                               front_files(config)};
    rpc_ = RpcServer::create(rpc, server_->cores());
  }
  ~RouterImpl() override;

  Status open_logs(const RouterConfig& config);
  Status listen();
  uint16_t port() const override { return server_->port(); }
  uint16_t grpc_port() const override { return rpc_ == nullptr ? 0 : rpc_->port(); }
  Status reload(const RouterConfig& config) override;
  Status reload_certificate() override {
    return tls_ == nullptr ? absl::OkStatus() : tls_->reload();
  }
  void announce_drain() override {
    context_.draining = true;
    server_->announce_drain();
    if (rpc_ != nullptr) rpc_->announce_drain();
  }
  void begin_drain() override;
  ClusterViewPtr view() const override {
    absl::MutexLock lock(&view_lock_);
    return view_;
  }
  size_t live_requests() const override { return server_->live_requests(); }
  void abort_requests() override;
  void reopen_logs() override {
    if (context_.access_log != nullptr) context_.access_log->reopen();
  }

 private:
  ApiError refuse(const char* front, size_t core, int status, std::string_view message);
  FleetHooks hooks();
  void publish(const ClusterViewPtr& view);
  void deliver(std::vector<CoreBatch>& batches);

  mutable absl::Mutex view_lock_;
  ClusterViewPtr view_ ABSL_GUARDED_BY(view_lock_) = std::make_shared<const ClusterView>();
  const std::shared_ptr<TlsContext> tls_;  // null: plain HTTP
  std::unique_ptr<HttpServer> server_;     // its cores outlive all that is posted to them
  RouterContext context_;
  std::unique_ptr<Discovery> discovery_;
  std::atomic<size_t> body_limit_;
  std::string policy_;              // in force
  std::unique_ptr<RpcServer> rpc_;  // null: gRPC is off
};

Status RouterImpl::open_logs(const RouterConfig& config) {
  if (!config.access_log.empty()) {
    ASSIGN_OR_RETURN(context_.access_log, AccessLog::open(config.access_log));
  }
  if (config.otlp_endpoint.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const ServerAddress collector,
                   parse_server_url(config.otlp_endpoint, kOtlpPort));
  OtlpResource resource;
  resource.version = kVersion;
  resource.host = host_name();
  resource.instance = fmt::format("{}-{}-{:08x}", resource.host, getpid(), random_seed() >> 32);
  context_.exporter = SpanExporter::start(collector, resource);
  return absl::OkStatus();
}

Status RouterImpl::listen() {
  RETURN_IF_ERROR(server_->start(
      [this](ExchangePtr exchange) { dispatch(context_, Front::http, std::move(exchange)); },
      [this](size_t core, int status, std::string_view message) {
        return error_response(refuse("http", core, status, message));
      }));
  if (rpc_ == nullptr) return absl::OkStatus();
  return rpc_->start(
      [this](ExchangePtr exchange) { dispatch(context_, Front::grpc, std::move(exchange)); },
      [this](size_t core, int status, std::string_view message) {
        return rpc_error_response(refuse("grpc", core, status, message));
      });
}

// What a front refuses by itself is counted and written down like everything else.
ApiError RouterImpl::refuse(const char* front, size_t core, int status, std::string_view message) {
  if (core == kAcceptor) {
    context_.turned_away.add();
  } else {
    context_.cores[core]->stats.count_request(no_endpoint(), status);
  }
  const ApiError error = front_error(status, message, body_limit_);
  write_down_refusal(context_, front, error);
  return error;
}

Status RouterImpl::reload(const RouterConfig& config) {
  RETURN_IF_ERROR(validate(config));
  const HttpLimits limits = http_options(config).limits;
  server_->set_limits(limits);
  body_limit_ = limits.max_body_bytes;
  context_.gate.set_limits(room_limits(config));
  const bool other_policy = std::exchange(policy_, config.policy) != config.policy;
  const EndpointSettings settings = endpoint_settings(config);
  for (const auto& each : context_.cores) {
    each->core->post([&core = *each, settings, other_policy, policy = config.policy] {
      core.settings = settings;
      if (other_policy) core.policy = *make_policy(policy);
    });
  }
  discovery_->set_sources(*parse_worker_sources(config.workers));  // validate() read them
  return absl::OkStatus();
}

RouterImpl::~RouterImpl() {
  if (rpc_ != nullptr) rpc_->stop();
  server_->stop();
  discovery_.reset();
  context_.pool.reset();
  context_.fleet.reset();
}

FleetHooks RouterImpl::hooks() {
  return {
      [this](ClusterViewPtr view) { publish(view); },
      [this](std::vector<CoreBatch>& batches) { deliver(batches); },
      make_model_text,
      [this] { context_.gate.wake(std::chrono::steady_clock::now()); },
      [this] { return context_.gate.demand(); },
      [this](uint32_t worker, const v1::TenantReport& report) {
        context_.gate.report(worker, report, std::chrono::steady_clock::now());
      },
      [this](uint32_t worker) { context_.gate.drop(worker, std::chrono::steady_clock::now()); }};
}

void RouterImpl::publish(const ClusterViewPtr& view) {
  for (const auto& worker : view->workers) {
    if (worker.state == WorkerState::absent) continue;
    log().debug("worker {} ({}) is {}{}{}", worker.id, worker.address,
                worker_state_name(worker.state), worker.problem.empty() ? "" : ": ",
                worker.problem);
  }
  for (const auto& core : context_.cores) {
    core->core->post([&core = *core, view] { core.view = view; });
  }
  absl::MutexLock lock(&view_lock_);
  view_ = view;
}

void RouterImpl::deliver(std::vector<CoreBatch>& batches) {
  for (auto& batch : batches) {
    CoreContext& core = *context_.cores[batch.core];
    if (!core.inbox.put(std::move(batch))) continue;
    core.core->post(
        [&core] { core.attempts.dispatch(core.inbox.take(), std::chrono::steady_clock::now()); });
  }
}

void RouterImpl::begin_drain() {
  context_.draining = true;
  if (rpc_ != nullptr) rpc_->drain();
  server_->drain();
  server_->stop_accepting();
}

void RouterImpl::abort_requests() {
  server_->abort_all();
  if (rpc_ != nullptr) rpc_->abort_all();
}

}  // namespace

StatusOr<std::unique_ptr<Router>> Router::start(const RouterConfig& config) {
  RETURN_IF_ERROR(validate(config));
  HttpServerOptions http = http_options(config);
  const TlsFiles front = front_files(config);
  std::shared_ptr<TlsContext> tls;
  if (front.given()) {
    ASSIGN_OR_RETURN(tls, TlsContext::create(front));
  }
  http.tls = tls;
  const TlsFiles peer{"peer", config.peer_cert, config.peer_key, config.peer_ca};
  ASSIGN_OR_RETURN(auto peers, load_peer_credentials(peer));
  auto router = std::make_unique<RouterImpl>(config, http, std::move(tls), std::move(peers));
  RETURN_IF_ERROR(router->open_logs(config));
  RETURN_IF_ERROR(router->listen());
  return std::unique_ptr<Router>(std::move(router));
}

}  // namespace bessemer
