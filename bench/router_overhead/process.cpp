#include "bench/router_overhead/process.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bessemer {

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

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace bessemer
