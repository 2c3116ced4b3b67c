// The process: signals, files that change, the drain.
#include <algorithm>
#include <csignal>
#include <ctime>
#include <functional>
#include <utility>

#include <absl/synchronization/mutex.h>
#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include "common/address.h"
#include "common/file_changes.h"
#include "common/log.h"
#include "router/router.h"

namespace bessemer {
namespace {

using std::chrono::milliseconds;

constexpr auto kLastFrames = milliseconds(1000);  // for terminal frames to leave after the grace
constexpr auto kWorkersPoll = milliseconds(10);   // for RouterConfig::ready_workers
constexpr auto kWaitingIsSaid = std::chrono::seconds(10);  // again and again
constexpr auto kDrainPoll = milliseconds(20);
constexpr auto kFileLook = milliseconds(1000);  // how late a changed file is noticed

sigset_t heeded_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

// The signal that comes within `limit`; 0: none.
int signal_within(const sigset_t& signals, milliseconds limit) {
  const timespec time{limit.count() / 1000, (limit.count() % 1000) * 1'000'000};
  return std::max(sigtimedwait(&signals, nullptr, &time), 0);
}

bool stop_within(const sigset_t& signals, milliseconds limit) {
  const int signal = signal_within(signals, limit);
  return signal == SIGTERM || signal == SIGINT;
}

size_t count_ready(const ClusterView& view) {
  return static_cast<size_t>(
      std::ranges::count(view.workers, WorkerState::ready, &WorkerView::state));
}

// Who is not ready, and why.
std::string who_is_missing(const ClusterView& view, size_t wanted) {
  std::string missing;
  for (const WorkerView& worker : view.workers) {
    if (worker.state == WorkerState::ready || worker.state == WorkerState::absent) continue;
    missing += fmt::format("{}{} is {}{}{}", missing.empty() ? "" : "; ", worker.address,
                           worker_state_name(worker.state), worker.problem.empty() ? "" : ": ",
                           worker.problem);
  }
  return missing.empty() ? fmt::format("{} of {} are known", count_ready(view), wanted) : missing;
}

void announce(const RouterConfig& config, uint16_t port) {
  const std::string line = "READY " + host_and_port(config.host, port) + "\n";
  if (config.ready_fd < 0) return;
  if (write(config.ready_fd, line.data(), line.size()) < 0)
    log().warn("nobody reads descriptor {}", config.ready_fd);
}

void drain(Router& router, const sigset_t& signals, milliseconds notice, milliseconds grace) {
  router.announce_drain();
  bool hurry = false;  // a second signal ends both waits
  const auto noticed = std::chrono::steady_clock::now() + notice;
  while (!hurry && std::chrono::steady_clock::now() < noticed)
    hurry = stop_within(signals, kDrainPoll);
  router.begin_drain();
  const auto until = std::chrono::steady_clock::now() + grace;
  while (!hurry && router.live_requests() > 0 && std::chrono::steady_clock::now() < until)
    hurry = stop_within(signals, kDrainPoll);
  if (router.live_requests() == 0) return;
  log().warn("{} requests did not finish in time; they get an error", router.live_requests());
  router.abort_requests();
  const auto last = std::chrono::steady_clock::now() + kLastFrames;
  while (router.live_requests() > 0 && std::chrono::steady_clock::now() < last)
    signal_within(signals, kDrainPoll);
}

// What a running process reads again.
class Rereader {
 public:
  // Before the router starts: what changes from then on is noticed.
  Rereader(RouterConfig& config, const ConfigSource& source)
      : config_(config),
        source_(source),
        file_({source.path}),
        certificate_({config.tls_cert, config.tls_key}),
        tenants_({config.tenants_file}) {}

  // `anyway`: whether the files look changed or not.
  void look(Router& router, bool anyway) {
    const bool file = file_.changed(), certificate = certificate_.changed(),
               tenants = tenants_.changed();
    const bool has_file = !source_.path.empty() || !config_.tenants_file.empty();
    if ((anyway || file || tenants) && has_file) reread_config(router);
    if ((anyway || certificate) && !config_.tls_cert.empty()) reread_certificate(router);
    if (anyway && !has_file && config_.tls_cert.empty())
      log().info("SIGHUP: there is no configuration file and no certificate to read again");
  }

 private:
  void reread_config(Router& router) {
    auto fresh = source_.read();
    const Status taken = fresh.ok() ? router.reload(*fresh) : fresh.status();
    if (!taken.ok()) {
      log().error("{}; the configuration before stays in force", std::string(taken.message()));
      return;
    }
    if (config_.tenants_file != fresh->tenants_file) tenants_ = FileChanges({fresh->tenants_file});
    config_ = *std::move(fresh);
    log().info("{} read again and in force", files());
  }
  void reread_certificate(Router& router) {
    const Status taken = router.reload_certificate();
    if (taken.ok()) return log().info("{} is read again and in force", config_.tls_cert);
    log().error("{}; the certificate before stays in force", std::string(taken.message()));
  }

  std::string files() const {
    if (source_.path.empty()) return config_.tenants_file + " is";
    if (config_.tenants_file.empty()) return source_.path + " is";
    return source_.path + " and " + config_.tenants_file + " are";
  }

  RouterConfig& config_;
  const ConfigSource& source_;
  FileChanges file_, certificate_, tenants_;
};

// True: a signal says to stop. False: `done`, which is looked at as often as the files.
bool serve_until(Router& router, Rereader& rereader, const sigset_t& signals, milliseconds look,
                 const std::function<bool()>& done) {
  while (!done()) {
    const int signal = signal_within(signals, look);
    if (signal == SIGTERM || signal == SIGINT) return true;
    if (signal == SIGHUP) router.reopen_logs();
    rereader.look(router, signal == SIGHUP);
  }
  return false;
}

// Serves meanwhile. True: a signal says to stop.
bool serve_until_ready(Router& router, Rereader& rereader, const sigset_t& signals,
                       size_t workers) {
  auto said = std::chrono::steady_clock::now();
  return serve_until(router, rereader, signals, kWorkersPoll, [&] {
    const ClusterViewPtr view = router.view();
    if (count_ready(*view) >= workers) return true;
    const auto now = std::chrono::steady_clock::now();
    if (now - said > kWaitingIsSaid) {
      log().info("waiting for workers: {}", who_is_missing(*view, workers));
      said = now;
    }
    return false;
  });
}

}  // namespace

int run_router(RouterConfig config, const ConfigSource& source) {
  absl::SetMutexDeadlockDetectionMode(
      absl::OnDeadlockCycle::kIgnore);  // Debian's Abseil is built with the detector on
  std::signal(SIGPIPE, SIG_IGN);
  const sigset_t signals = heeded_signals();
  pthread_sigmask(SIG_BLOCK, &signals,
                  nullptr);  // inherited by every thread: only this one takes them
  Rereader rereader(config, source);
  auto router = Router::start(config);
  if (!router.ok()) {
    log().error("the router cannot start: {}", std::string(router.status().message()));
    return 1;
  }
  log().info("router listens on {}, {} workers or sources of them, policy {}",
             host_and_port(config.host, (*router)->port()), config.workers.size(), config.policy);
  if (config.workers.empty()) {
    log().warn(
        "no workers are named, so that every request gets a 503: say where they are with "
        "--workers HOST:PORT ... or `workers` in the file");
  }
  if ((*router)->grpc_port() != 0)
    log().info("gRPC clients on {}", host_and_port(config.host, (*router)->grpc_port()));
  const bool stops =
      serve_until_ready(**router, rereader, signals, static_cast<size_t>(config.ready_workers));
  if (!stops) {
    announce(config, (*router)->port());
    serve_until(**router, rereader, signals, kFileLook, [] { return false; });
  }
  log().info("draining: {} requests are live", (*router)->live_requests());
  drain(**router, signals, milliseconds(config.drain_notice_ms), milliseconds(config.drain_ms));
  router->reset();
  log().info("stopped");
  return 0;
}

}  // namespace bessemer
