#include "router/router.h"

#include <algorithm>
#include <csignal>
#include <ctime>

#include <absl/synchronization/mutex.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "common/address.h"
#include "common/log.h"
#include "common/version.h"
#include "router/cluster/discovery.h"
#include "router/endpoints/context.h"
#include "router/endpoints/model_text.h"
#include "router/endpoints/table.h"
#include "router/http/server.h"

namespace bessemer {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMaxLanes = 4;  // one more lane is one more message a step for the worker
constexpr size_t kPoolQueue =
    256;  // long prompts that wait for the pool: a second or two of its work
constexpr auto kLastFrames = milliseconds(1000);  // for terminal frames to leave after the grace
constexpr auto kDrainPoll = milliseconds(20);

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

FleetOptions fleet_options(const RouterConfig& config, size_t cores) {
  FleetOptions options;
  options.workers = config.workers;
  options.version = kVersion;
  options.lanes = config.lanes > 0 ? static_cast<size_t>(config.lanes) : std::min(cores, kMaxLanes);
  options.cache_folder = config.cache_dir.empty() ? "" : config.cache_dir + "/vocabularies";
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) == 0) options.node = name;
  return options;
}

// Errors of the HTTP layer in the API's shape.
HttpResponse render_http_error(int status, std::string_view message, size_t body_limit) {
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
  return error_response(error);
}

void count_http_error(RouterContext& context, size_t core, int status) {
  if (core == kAcceptor) return context.turned_away.add();
  context.cores[core]->stats.count_request(no_endpoint(), status);
}

class RouterImpl final : public Router {
 public:
  RouterImpl(const RouterConfig& config, const HttpServerOptions& http)
      : server_(HttpServer::create(http)), body_limit_(http.limits.max_body_bytes) {
    context_.options.version = kVersion;
    context_.options.request_timeout = milliseconds(config.request_timeout_ms);
    context_.options.max_waiting = config.max_waiting;
    context_.options.cors_origins = config.cors_origins;
    context_.options.decision_headers = config.decision_headers;
    context_.started_unix = std::time(nullptr);
    context_.pool = std::make_unique<CpuPool>(http.cores, kPoolQueue);
    for (Core* core : server_->cores()) {
      auto each = std::make_unique<CoreContext>();
      each->core = core;
      each->view = std::make_shared<const ClusterView>();
      each->policy = *make_policy(config.policy);
      context_.cores.push_back(std::move(each));
    }
    context_.kv_index = std::make_unique<KvIndex>(http.cores, random_seed());
    context_.kv_pledged = std::make_unique<KvIndex>(http.cores, random_seed(), kMaxPledgeBytes);
    FleetOptions fleet = fleet_options(config, http.cores);
    fleet.kv_index = context_.kv_index.get();
    fleet.kv_pledged = context_.kv_pledged.get();
    context_.fleet = Fleet::create(fleet, hooks());
  }
  ~RouterImpl() override;

  Status listen() {
    return server_->start([this](ExchangePtr exchange) { dispatch(context_, std::move(exchange)); },
                          [this](size_t core, int status, std::string_view message) {
                            count_http_error(context_, core, status);
                            return render_http_error(status, message, body_limit_);
                          });
  }
  uint16_t port() const override { return server_->port(); }
  void begin_drain() override;
  size_t live_requests() const override { return server_->live_requests(); }
  void abort_requests() override { server_->abort_all(); }

 private:
  FleetHooks hooks();
  void publish(const ClusterViewPtr& view);
  void deliver(std::vector<CoreBatch>& batches);

  std::unique_ptr<HttpServer> server_;  // its cores outlive all that is posted to them
  RouterContext context_;
  const size_t body_limit_;
};

RouterImpl::~RouterImpl() {
  server_->stop();
  context_.pool.reset();
  context_.fleet.reset();
}

FleetHooks RouterImpl::hooks() {
  return {[this](ClusterViewPtr view) { publish(view); },
          [this](std::vector<CoreBatch>& batches) { deliver(batches); }, make_model_text};
}

void RouterImpl::publish(const ClusterViewPtr& view) {
  for (const auto& worker : view->workers) {
    log().debug("worker {} ({}) is {}{}{}", worker.id, worker.address,
                worker_state_name(worker.state), worker.problem.empty() ? "" : ": ",
                worker.problem);
  }
  for (const auto& core : context_.cores) {
    core->core->post([&core = *core, view] { core.view = view; });
  }
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
  server_->drain();
  server_->stop_accepting();
}

// ---- the process ----

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

// True when a stop signal comes within `limit`.
bool signal_within(const sigset_t& signals, milliseconds limit) {
  const timespec time{limit.count() / 1000, (limit.count() % 1000) * 1'000'000};
  return sigtimedwait(&signals, nullptr, &time) > 0;
}

void announce(const RouterConfig& config, uint16_t port) {
  const std::string line = "READY " + host_and_port(config.host, port) + "\n";
  if (config.ready_fd < 0) return;
  if (write(config.ready_fd, line.data(), line.size()) < 0)
    log().warn("nobody reads descriptor {}", config.ready_fd);
}

void drain(Router& router, const sigset_t& signals, milliseconds grace) {
  router.begin_drain();
  const auto until = std::chrono::steady_clock::now() + grace;
  while (router.live_requests() > 0 && std::chrono::steady_clock::now() < until) {
    if (signal_within(signals, kDrainPoll)) break;
  }
  if (router.live_requests() == 0) return;
  log().warn("{} requests did not finish in time; they get an error", router.live_requests());
  router.abort_requests();
  const auto last = std::chrono::steady_clock::now() + kLastFrames;
  while (router.live_requests() > 0 && std::chrono::steady_clock::now() < last)
    signal_within(signals, kDrainPoll);
}

}  // namespace

StatusOr<std::unique_ptr<Router>> Router::start(const RouterConfig& config) {
  RETURN_IF_ERROR(validate(config));
  auto router = std::make_unique<RouterImpl>(config, http_options(config));
  RETURN_IF_ERROR(router->listen());
  return std::unique_ptr<Router>(std::move(router));
}

int run_router(const RouterConfig& config) {
  absl::SetMutexDeadlockDetectionMode(
      absl::OnDeadlockCycle::kIgnore);  // Debian's Abseil is built with the detector on
  std::signal(SIGPIPE, SIG_IGN);
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals,
                  nullptr);  // inherited by every thread: only this one takes them
  auto router = Router::start(config);
  if (!router.ok()) {
    log().error("the router cannot start: {}", std::string(router.status().message()));
    return 1;
  }
  log().info("router listens on {}, {} workers, policy {}",
             host_and_port(config.host, (*router)->port()), config.workers.size(), config.policy);
  announce(config, (*router)->port());
  int signal = 0;
  sigwait(&signals, &signal);
  log().info("draining: {} requests are live", (*router)->live_requests());
  drain(**router, signals, milliseconds(config.drain_ms));
  router->reset();
  log().info("stopped");
  return 0;
}

}  // namespace bessemer
