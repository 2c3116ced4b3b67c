#include "cli/serve/child.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace bessemer {
namespace {

// Between fork and exec: only calls that are safe there.
[[noreturn]] void become_child(const std::vector<char*>& argv, const cpu_set_t* cpus, int ready_fd,
                               pid_t supervisor) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != supervisor) _exit(1);  // it died before prctl
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (cpus != nullptr) sched_setaffinity(0, sizeof *cpus, cpus);
  fcntl(ready_fd, F_SETFD, 0);
  execv("/proc/self/exe", argv.data());
  constexpr char kMessage[] = "bessemer: cannot start itself again through /proc/self/exe\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  _exit(127);
}

std::vector<std::string> arguments(const ChildSpec& spec, int ready_fd) {
  std::vector<std::string> args = {"bessemer"};
  for (const std::string& arg : spec.args)
    args.push_back(arg == "{ready_fd}" ? std::to_string(ready_fd) : arg);
  return args;
}

}  // namespace

StatusOr<StartedChild> start_child(const ChildSpec& spec) {
  std::array<int, 2> pipe_fds{};
  if (pipe2(pipe_fds.data(), O_CLOEXEC) != 0) {
    return absl::ResourceExhaustedError("cannot start " + spec.name +
                                        ": pipe: " + std::strerror(errno));
  }
  std::vector<std::string> args = arguments(spec, pipe_fds[1]);
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : spec.cpus) CPU_SET(cpu, &set);

  const pid_t supervisor = getpid();
  const pid_t pid = fork();
  if (pid == 0) become_child(argv, spec.cpus.empty() ? nullptr : &set, pipe_fds[1], supervisor);
  const int error = errno;
  close(pipe_fds[1]);
  if (pid < 0) {
    close(pipe_fds[0]);
    return absl::ResourceExhaustedError("cannot start " + spec.name +
                                        ": fork: " + std::strerror(error));
  }
  setpgid(pid, pid);  // here too: whichever of the two runs first
  fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
  return StartedChild{pid, pipe_fds[0]};
}

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

std::vector<int> cpu_share(const std::vector<int>& cpus, int index, int count) {
  const int cores = static_cast<int>(cpus.size());
  if (cores == 0) return {};
  if (count >= cores) return {cpus[static_cast<size_t>(index % cores)]};
  const auto first = cpus.begin() + index * cores / count,
             last = cpus.begin() + (index + 1) * cores / count;
  return {first, last};
}

int thread_share(int processors, int index, int count) {
  return std::max((index + 1) * processors / count - index * processors / count, 1);
}

}  // namespace bessemer
