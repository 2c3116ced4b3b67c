#include "cli/run/local_cluster.h"

#include <cerrno>
#include <chrono>
#include <cstdio>

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/models/pull.h"
#include "cli/serve/serve_command.h"
#include "common/ports.h"

namespace bessemer {
namespace {

constexpr auto kStartTimeout = std::chrono::minutes(10);  // a large model from a cold disk

// Waits for the child's READY line.
Status wait_ready(const StartedChild& child, const std::string& name) {
  const auto deadline = std::chrono::steady_clock::now() + kStartTimeout;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return absl::DeadlineExceededError(name + " did not become ready");
    pollfd wait{child.ready_fd, POLLIN, 0};
    if (poll(&wait, 1, static_cast<int>(left.count())) < 0 && errno != EINTR)
      return absl::InternalError("poll failed");
    char buffer[256];
    const ssize_t count = read(child.ready_fd, buffer, sizeof buffer);
    if (count > 0) return absl::OkStatus();
    if (count == 0) return absl::UnavailableError(name + " could not start; its message is above");
  }
}

}  // namespace

StatusOr<std::unique_ptr<LocalCluster>> LocalCluster::start(const std::string& model,
                                                            const Environment& environment) {
  ASSIGN_OR_RETURN(const ResolvedModel resolved, resolve_model(model, environment));
  std::unique_ptr<LocalCluster> cluster(new LocalCluster());
  ASSIGN_OR_RETURN(const std::vector<int> ports, free_ports("127.0.0.1", 2, "host"));
  const LogConfig log{.level = "warn", .json = false};
  WorkerConfig worker;
  worker.model_path = resolved.path;
  worker.model_name = resolved.name;
  worker.port = ports[0];
  worker.drain_ms = 0;  // when run ends, nobody waits for its requests any more
  RouterConfig router;
  router.port = ports[1];
  router.drain_ms = 0;
  router.cache_dir = environment.cache_dir;
  router.workers = {"127.0.0.1:" + std::to_string(ports[0])};
  router.ready_workers = 1;
  std::fprintf(stderr, "loading %s...\n", resolved.name.c_str());
  const std::vector<ChildSpec> specs = {
      {.name = "the worker", .args = worker_args(worker, log), .cpus = {}},
      {.name = "the router", .args = router_args(router, log), .cpus = {}}};
  for (const ChildSpec& spec : specs) {
    ASSIGN_OR_RETURN(const StartedChild child, start_child(spec));
    cluster->children_.push_back(child);
    RETURN_IF_ERROR(wait_ready(child, spec.name));
  }
  cluster->address_ = {"127.0.0.1", std::to_string(router.port)};
  return cluster;
}

LocalCluster::~LocalCluster() {
  for (const StartedChild& child : children_) kill(child.pid, SIGTERM);
  for (const StartedChild& child : children_) {
    waitpid(child.pid, nullptr, 0);
    close(child.ready_fd);
  }
}

}  // namespace bessemer
