#include "bench/common/process.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bessemer::bench {
namespace {

// Between fork and exec: only calls that are safe there.
[[noreturn]] void become(const char* command, int log, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(1);  // it died before prctl
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execl("/bin/sh", "sh", "-c", command, static_cast<char*>(nullptr));
  _exit(127);
}

void add_pss(pid_t pid, Memory& memory) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string name = line.substr(0, colon);
    const int64_t bytes = std::strtoll(line.c_str() + colon + 1, nullptr, 10) * 1024;
    if (name == "Pss") memory.total_bytes += bytes;
    if (name == "Pss_Anon") memory.anonymous_bytes += bytes;
  }
}

}  // namespace

Child spawn(const std::function<int(int ready_fd)>& body) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  Child child;
  child.pid = fork();
  if (child.pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    close(ends[0]);
    std::_Exit(body(ends[1]));
  }
  close(ends[1]);
  std::string line;
  for (char byte; read(ends[0], &byte, 1) == 1 && byte != '\n';) line += byte;
  close(ends[0]);
  const size_t colon = line.rfind(':');
  if (!line.starts_with("READY ") || colon == std::string::npos) {
    std::fprintf(stderr, "a child did not start\n");
    std::exit(1);
  }
  child.port = static_cast<uint16_t>(std::stoi(line.substr(colon + 1)));
  return child;
}

void stop(const Child& child) {
  kill(child.pid, SIGTERM);
  waitpid(child.pid, nullptr, 0);
}

std::string filled(std::string command, std::string_view place, std::string_view value) {
  for (size_t at = 0; (at = command.find(place, at)) != std::string::npos; at += value.size())
    command.replace(at, place.size(), value);
  return command;
}

StatusOr<Program> Program::start(const std::string& command, const std::string& log_path) {
  const int log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (log < 0) {
    return absl::PermissionDeniedError("cannot write the log " + log_path + ": " +
                                       std::strerror(errno));
  }
  const std::string line = "exec " + command;  // so that our signals reach the program itself
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) become(line.c_str(), log, parent);
  const int error = errno;
  close(log);
  if (pid < 0) {
    return absl::ResourceExhaustedError("cannot start `" + command + "`: " + std::strerror(error));
  }
  setpgid(pid, pid);  // here too: whichever of the two runs first
  return Program(pid);
}

Program::Program(Program&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

Program::~Program() {
  if (pid_ < 0) return;
  kill(pid_, SIGTERM);
  for (int i = 0; i < kStopSeconds * 100 && running(); ++i) usleep(10'000);
  if (!running()) return;
  kill(-pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool Program::running() {
  if (pid_ < 0) return false;
  if (waitpid(pid_, nullptr, WNOHANG) == 0) return true;
  pid_ = -1;
  return false;
}

// From the scheduler, in nanoseconds: /proc/PID/stat counts ticks of 10 ms.
int64_t cpu_microseconds(pid_t pid) {
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  int64_t total_ns = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator task(tasks, error), end; !error && task != end;
       task.increment(error)) {
    std::ifstream schedstat(task->path() / "schedstat");
    int64_t ns = 0;
    if (schedstat >> ns) total_ns += ns;  // else the thread has just ended
  }
  return total_ns / 1000;
}

int64_t resident_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::vector<pid_t> process_tree(pid_t pid) {
  std::vector<pid_t> tree = {pid};
  for (size_t i = 0; i < tree.size(); ++i) {
    const std::string tasks = "/proc/" + std::to_string(tree[i]) + "/task";
    std::error_code error;
    for (std::filesystem::directory_iterator task(tasks, error), end; !error && task != end;
         task.increment(error)) {
      std::ifstream children(task->path() / "children");
      for (pid_t child; children >> child;) tree.push_back(child);
    }
  }
  return tree;
}

Memory memory_of_tree(pid_t pid) {
  Memory memory;
  for (const pid_t one : process_tree(pid)) add_pss(one, memory);
  return memory;
}

}  // namespace bessemer::bench
