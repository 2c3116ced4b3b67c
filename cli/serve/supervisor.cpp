#include "cli/serve/supervisor.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"

namespace bessemer {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kFirstBackoff{100};
constexpr milliseconds kLongestBackoff{5'000};
constexpr milliseconds kHealthyAfter{30'000};

std::string describe_exit(int status) {
  if (WIFSIGNALED(status))
    return "was killed by signal " + std::to_string(WTERMSIG(status)) + " (" +
           strsignal(WTERMSIG(status)) + ")";
  return "exited with code " + std::to_string(WEXITSTATUS(status));
}

// What SIGTERM and SIGKILL, which a stop sends, may lead to.
bool stopped_as_asked(int status) {
  if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGKILL;
  return WEXITSTATUS(status) == 0;
}

struct Child {
  explicit Child(ChildSpec what) : spec(std::move(what)) {}

  ChildSpec spec;
  pid_t pid = -1;  // -1: not running
  int ready_fd = -1;
  bool ready = false, was_ready = false;
  Clock::time_point started{};
  milliseconds backoff = kFirstBackoff;
  std::optional<Clock::time_point> restart_at;
};

enum class Phase { running, stopping_router, stopping_workers };

class Supervisor {
 public:
  Supervisor(const ChildSpec& router, const std::vector<ChildSpec>& workers,
             const SupervisorOptions& options)
      : options_(options) {
    children_.emplace_back(router);
    for (const ChildSpec& worker : workers) children_.emplace_back(worker);
  }

  int run() {
    block_signals();
    for (Child& child : children_) start(child);
    while (!finished()) {
      wait_for_something();
      const auto now = Clock::now();
      for (Child& child : children_) {
        if (child.restart_at && *child.restart_at <= now) start(child);
      }
      enforce_deadline(now);
    }
    close(signal_fd_);
    return exit_code_;
  }

 private:
  void block_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&set, signal);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    signal_fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  }

  bool any_alive() const {
    return std::any_of(children_.begin(), children_.end(),
                       [](const Child& child) { return child.pid > 0; });
  }
  bool finished() const { return phase_ != Phase::running && !any_alive(); }

  void start(Child& child) {
    child.restart_at.reset();
    StatusOr<StartedChild> started = start_child(child.spec);
    if (!started.ok()) {
      log().error("{}", std::string(started.status().message()));
      schedule_restart(child);
      return;
    }
    child.pid = started->pid;
    child.ready_fd = started->ready_fd;
    child.ready = false;
    child.started = Clock::now();
    log().debug("started {} as process {}", child.spec.name, child.pid);
  }

  void schedule_restart(Child& child) {
    log().warn("restarting {} in {} ms", child.spec.name, child.backoff.count());
    child.restart_at = Clock::now() + child.backoff;
    child.backoff = std::min(child.backoff * 2, kLongestBackoff);
  }

  // Sleeps until a signal, a readiness line, a restart or the deadline.
  void wait_for_something() {
    std::vector<pollfd> polls = {{signal_fd_, POLLIN, 0}};
    for (const Child& child : children_)
      polls.push_back({child.ready_fd, POLLIN, 0});  // -1 is skipped by poll
    if (poll(polls.data(), polls.size(), timeout_ms()) < 0) return;
    if (polls[0].revents != 0) read_signals();
    for (size_t i = 0; i < children_.size(); ++i) {
      if (polls[i + 1].revents != 0) read_ready(children_[i]);
    }
  }

  int timeout_ms() const {
    std::optional<Clock::time_point> next = deadline_;
    for (const Child& child : children_) {
      if (child.restart_at) next = next ? std::min(*next, *child.restart_at) : *child.restart_at;
    }
    if (!next) return -1;
    const auto wait = std::chrono::ceil<milliseconds>(*next - Clock::now()).count();
    return static_cast<int>(std::clamp<int64_t>(wait, 0, 60'000));
  }

  void read_signals() {
    signalfd_siginfo info;
    while (read(signal_fd_, &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGCHLD) {
        reap();
      } else {
        asked_to_stop();
      }
    }
  }

  void read_ready(Child& child) {
    char buffer[256];
    const ssize_t count = read(child.ready_fd, buffer, sizeof buffer);
    if (count > 0 && std::memchr(buffer, '\n', static_cast<size_t>(count)) != nullptr)
      became_ready(child);
    if (count == 0 || child.ready) {
      close(child.ready_fd);
      child.ready_fd = -1;
    }
  }

  void became_ready(Child& child) {
    child.ready = true;
    const auto took =
        std::chrono::duration_cast<milliseconds>(Clock::now() - child.started).count();
    if (child.was_ready)
      log().info("{} is back after {} ms (process {})", child.spec.name, took, child.pid);
    child.was_ready = true;
    const bool all = std::all_of(children_.begin(), children_.end(),
                                 [](const Child& other) { return other.ready; });
    if (all && !announced_ && phase_ == Phase::running) {
      announced_ = true;
      if (options_.on_ready) options_.on_ready();
    }
  }

  void reap() {
    int status = 0;
    while (const pid_t pid = waitpid(-1, &status, WNOHANG)) {
      if (pid < 0) return;
      const auto child = std::find_if(children_.begin(), children_.end(),
                                      [&](const Child& c) { return c.pid == pid; });
      if (child != children_.end()) exited(*child, status);
    }
  }

  void exited(Child& child, int status) {
    child.pid = -1;
    child.ready = false;
    if (child.ready_fd >= 0) close(child.ready_fd);
    child.ready_fd = -1;
    if (phase_ == Phase::running) return died(child, status);
    if (!stopped_as_asked(status))
      log().error("{} {} while it stopped", child.spec.name, describe_exit(status));
    if (phase_ == Phase::stopping_router && &child == &children_.front()) stop_workers();
  }

  void died(Child& child, int status) {
    log().error("{} {}", child.spec.name, describe_exit(status));
    if (!child.was_ready) {  // S2
      exit_code_ = 1;
      begin_stop();
      return;
    }
    if (Clock::now() - child.started > kHealthyAfter) child.backoff = kFirstBackoff;
    schedule_restart(child);
  }

  void asked_to_stop() {
    ++stop_requests_;
    if (stop_requests_ == 1) {
      if (phase_ == Phase::running)
        log().info("stopping: running requests may finish; a second signal stops at once");
      begin_stop();
      return;
    }
    if (stop_requests_ == 2) log().info("stopping at once");
    signal_all(stop_requests_ == 2 ? SIGTERM : SIGKILL);
    if (phase_ == Phase::stopping_router) stop_workers();
    deadline_ = Clock::now() + milliseconds(2'000);
  }

  void begin_stop() {
    if (phase_ != Phase::running) return;
    phase_ = Phase::stopping_router;
    for (Child& child : children_) child.restart_at.reset();
    deadline_ = Clock::now() + milliseconds(options_.stop_timeout_ms);
    Child& router = children_.front();
    if (router.pid > 0) {
      kill(router.pid, SIGTERM);
    } else {
      stop_workers();
    }
  }

  void stop_workers() {
    phase_ = Phase::stopping_workers;
    deadline_ = Clock::now() + milliseconds(options_.stop_timeout_ms);
    signal_all(SIGTERM);
  }

  void signal_all(int signal) {
    for (const Child& child : children_) {
      if (child.pid > 0) kill(child.pid, signal);
    }
  }

  void enforce_deadline(Clock::time_point now) {
    if (!deadline_ || now < *deadline_) return;
    for (const Child& child : children_) {
      if (child.pid > 0) log().warn("{} did not stop in time and is killed", child.spec.name);
    }
    signal_all(SIGKILL);
    deadline_.reset();
  }

  SupervisorOptions options_;
  std::vector<Child> children_;  // the router first
  int signal_fd_ = -1, exit_code_ = 0, stop_requests_ = 0;
  bool announced_ = false;
  Phase phase_ = Phase::running;
  std::optional<Clock::time_point> deadline_;
};

}  // namespace

int supervise(const ChildSpec& router, const std::vector<ChildSpec>& workers,
              const SupervisorOptions& options) {
  return Supervisor(router, workers, options).run();
}

}  // namespace bessemer
