#include "worker/worker.h"

#include <chrono>
#include <csignal>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "common/address.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/random.h"
#include "common/version.h"
#include "worker/backend/registry.h"
#include "worker/engine/engine.h"
#include "worker/format/gguf.h"
#include "worker/load_progress.h"
#include "worker/model/registry.h"
#include "worker/runner/model_runner.h"
#include "worker/service/grpc_server.h"
#include "worker/service/hub.h"
#include "worker/service/model_card.h"

namespace bessemer {
namespace {

// How long a stopping worker gives its lanes to take the last frames.
constexpr auto kFlushGrace = std::chrono::seconds(1);

// The parts of a worker, in the order in which they need each other.
struct Worker {
  SteadyClock clock;
  std::shared_ptr<const GgufFile> file;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<ModelRunner> runner;
  WorkerFacts facts;
  Hub hub{clock};
  std::unique_ptr<Engine> engine;
  std::unique_ptr<WorkerServer> server;

  ~Worker() {
    if (engine) engine->stop();  // its thread calls hub and server
  }
};

std::string node_of(const WorkerConfig& config) {
  if (!config.node.empty()) return config.node;
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

Status load(const WorkerConfig& config, Worker& w) {
  BackendOptions options;
  options.threads = config.threads;
  options.isa = config.isa;
  std::vector<std::string> passed_over;
  ASSIGN_OR_RETURN(w.backend, make_backend(config.backend, options, &passed_over));
  for (const std::string& why : passed_over) log().info("{}; running on the CPU", why);
  ASSIGN_OR_RETURN(w.file, GgufFile::open(config.model_path));
  // Both read the whole file: the hash warms the page cache for the packing, or the other way
  // round.
  auto hash = std::async(std::launch::async, [&] { return hash_model_file(*w.file); });
  LoadProgress progress(config.model_path);
  ASSIGN_OR_RETURN(auto model,
                   load_model(*w.file, *w.backend, Rank{},
                              [&](uint64_t done, uint64_t total) { progress.show(done, total); }));
  progress.finish();
  RunnerOptions run;
  run.max_len = config.max_model_len;
  run.slots = config.max_sequences;
  run.step_tokens = config.step_tokens;
  run.kv_dtype = *kv_dtype_of(config.kv_dtype);  // validate() knows it
  run.kv_cache_bytes = static_cast<uint64_t>(config.kv_cache_mb) << 20;
  run.kv_fraction = config.kv_memory_fraction;
  ASSIGN_OR_RETURN(w.runner, ModelRunner::create(*w.backend, std::move(model), run));
  log().info("{}", describe(w.runner->memory()));
  const Limits& limits = w.runner->limits();
  w.facts.max_choices = limits.slots;
  return describe_model({.file = *w.file,
                         .model = w.runner->model(),
                         .file_hash = hash.get(),
                         .name = config.model_name,
                         .aliases = config.aliases,
                         .numerics = w.backend->numerics() + "/kv-" + config.kv_dtype,
                         .max_len = limits.max_len,
                         .block_tokens = limits.groups[0].block_tokens},
                        w.facts);
}

Status serve(const WorkerConfig& config, Worker& w) {
  w.facts.incarnation = random_seed();
  w.facts.node = node_of(config);
  w.facts.version = kVersion;
  w.facts.features = offered_features();
  EngineOptions engine;
  engine.step_tokens = config.step_tokens;
  engine.stream_step = std::chrono::milliseconds(config.stream_step_ms);
  engine.max_waiting = config.max_waiting;
  engine.prefix_cache = config.prefix_cache;
  engine.hash_domain = w.facts.card.hash_domain();
  // Nothing is submitted, and so nothing delivered, before the server below starts.
  w.engine = std::make_unique<Engine>(engine, *w.runner, w.clock,
                                      [&w](StepId step, std::vector<EngineEvent> events) {
                                        w.hub.deliver(step, std::move(events));
                                        w.server->on_step();
                                      });
  w.hub.bind(*w.engine);
  ServerOptions server;
  server.host = config.host;
  server.port = config.port;
  server.max_lanes = config.max_lanes;
  server.max_watches = config.max_watches;
  server.tls = {"peer", config.peer_cert, config.peer_key, config.peer_ca};
  if (!server.tls.given() && !is_loopback(config.host)) {
    log().warn(
        "{} is open to the network and peer_cert is not set: whoever reaches this port may "
        "use this worker and read what others ask it",
        config.host);
  }
  server.session.lease_ms = config.lease_ms;
  server.session.orphan_ms = config.orphan_ms;
  server.session.max_attempts = config.max_lane_attempts;
  server.session.grant.max_waiting = config.max_waiting;
  server.session.grant.first_tokens = config.step_tokens;
  w.server = WorkerServer::make(server, w.facts, w.hub, w.clock);
  return w.server->start();
}

// One line, so that whoever started this process learns the port.
Status announce(const WorkerConfig& config, int32_t port) {
  const std::string line = "READY " + host_and_port(config.host, port) + "\n";
  if (write(config.ready_fd, line.data(), line.size()) == static_cast<ssize_t>(line.size()))
    return absl::OkStatus();
  return absl::UnavailableError(fmt::format("ready_fd {} cannot be written", config.ready_fd));
}

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

// True: a stop signal came within `limit`.
bool wait_for_signal(const sigset_t& signals, std::chrono::milliseconds limit) {
  const timespec time{.tv_sec = limit.count() / 1000, .tv_nsec = limit.count() % 1000 * 1'000'000};
  return sigtimedwait(&signals, nullptr, &time) > 0;
}

// While the model loads nothing has been promised to anyone: a stop signal ends the process at
// once.
class ExitOnSignal {
 public:
  explicit ExitOnSignal(const sigset_t& signals)
      : thread_([signals](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            if (!wait_for_signal(signals, std::chrono::milliseconds(10))) continue;
            log().info("stopped while loading");
            _exit(0);
          }
        }) {}

 private:
  std::jthread thread_;
};

// What runs may finish until the deadline or the second signal.
void drain(const WorkerConfig& config, Worker& w, const sigset_t& signals) {
  log().info("draining: {} requests may finish within {} ms; a second signal stops at once",
             w.hub.alive(), config.drain_ms);
  w.hub.drain();
  w.server->drain(static_cast<uint32_t>(config.drain_ms));
  const TimePoint deadline = w.clock.now() + std::chrono::milliseconds(config.drain_ms);
  while (w.hub.alive() > 0 && w.clock.now() < deadline) {
    if (wait_for_signal(signals, std::chrono::milliseconds(20))) break;
  }
  if (const size_t left = w.hub.alive(); left > 0)
    log().warn("stopping with {} requests unfinished", left);
}

Status run(const WorkerConfig& config) {
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  RETURN_IF_ERROR(validate(config));
  const TimePoint start = SteadyClock().now();
  Worker w;
  {
    const ExitOnSignal while_loading(signals);
    RETURN_IF_ERROR(load(config, w));
  }
  RETURN_IF_ERROR(serve(config, w));
  const v1::ModelCard& card = w.facts.card;
  log().info("{} ({}, {}, {:.1f} M parameters) on {} ready at {}:{} after {} ms, card {}",
             card.name(), card.architecture(), card.quantization(),
             static_cast<double>(card.parameters()) * 1e-6, card.numerics(), config.host,
             w.server->port(), microseconds(w.clock.now() - start) / 1000, card.card_hash());
  RETURN_IF_ERROR(announce(config, w.server->port()));
  int signal = 0;
  sigwait(&signals, &signal);
  drain(config, w, signals);
  w.engine->stop();  // first, so that the routers hear of what it had to give up
  w.server->stop(kFlushGrace);
  log().info("stopped");
  return absl::OkStatus();
}

}  // namespace

int run_worker(const WorkerConfig& config) {
  const Status status = run(config);
  if (status.ok()) return 0;
  log().error("{}", std::string(status.message()));
  return 1;
}

}  // namespace bessemer
