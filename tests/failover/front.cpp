#include "tests/failover/front.h"

#include <thread>

#include <unistd.h>

#include "bench/serve/fetch.h"
#include "bench/serve/target.h"
#include "common/json.h"
#include "router/router.h"
#include "tests/failover/child.h"

namespace bessemer::failover {
namespace {

constexpr auto kStartPatience = std::chrono::seconds(20);

class LocalFront final : public Front {
 public:
  explicit LocalFront(std::unique_ptr<Router> router) : router_(std::move(router)) {}
  uint16_t port() const override { return router_->port(); }
  pid_t pid() const override { return getpid(); }

 private:
  std::unique_ptr<Router> router_;
};

class ProcessFront final : public Front {
 public:
  explicit ProcessFront(std::unique_ptr<Child> child) : child_(std::move(child)) {}
  uint16_t port() const override { return static_cast<uint16_t>(child_->port()); }
  pid_t pid() const override { return child_->pid(); }

 private:
  std::unique_ptr<Child> child_;
};

StatusOr<std::unique_ptr<Front>> start_local(const FrontOptions& options) {
  RouterConfig config;
  config.port = 0;
  config.ready_fd = -1;
  config.threads = options.threads;
  config.workers = options.workers;
  ASSIGN_OR_RETURN(auto router, Router::start(config));
  return std::unique_ptr<Front>(std::make_unique<LocalFront>(std::move(router)));
}

StatusOr<std::unique_ptr<Front>> start_process(const FrontOptions& options) {
  std::vector<std::string> arguments{
      options.binary, "router", "--port",   "0", "--threads", std::to_string(options.threads),
      "--log-level",  "error",  "--workers"};
  arguments.insert(arguments.end(), options.workers.begin(), options.workers.end());
  ASSIGN_OR_RETURN(auto child, Child::start(std::move(arguments)));
  return std::unique_ptr<Front>(std::make_unique<ProcessFront>(std::move(child)));
}

size_t ready_workers(const bench::Target& target) {
  const auto answer = bench::fetch(target, "/bessemer/state", "", std::chrono::seconds(5));
  if (!answer.ok()) return 0;
  const auto state = parse_json(answer->body);
  if (!state.ok() || !state->is_object()) return 0;
  size_t ready = 0;
  for (const auto& worker : state->at("workers").as_array())
    ready += worker.at("state") == "ready" ? 1 : 0;
  return ready;
}

// Several answers in a row, since each core of a router has a view of its own.
Status wait_for_workers(const Front& front, size_t count) {
  constexpr int kAnswers = 8;
  bench::Target target;
  target.server.port = std::to_string(front.port());
  const auto until = std::chrono::steady_clock::now() + kStartPatience;
  int agreed = 0;
  while (agreed < kAnswers && std::chrono::steady_clock::now() < until) {
    agreed = ready_workers(target) == count ? agreed + 1 : 0;
    if (agreed == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (agreed == kAnswers) return absl::OkStatus();
  return absl::UnavailableError("not all workers became ready");
}

}  // namespace

StatusOr<std::unique_ptr<Front>> Front::start(const FrontOptions& options) {
  ASSIGN_OR_RETURN(auto front,
                   options.binary.empty() ? start_local(options) : start_process(options));
  RETURN_IF_ERROR(wait_for_workers(*front, options.workers.size()));
  return front;
}

}  // namespace bessemer::failover
