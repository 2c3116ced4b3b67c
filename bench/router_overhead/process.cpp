#include "bench/router_overhead/process.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

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

int64_t cpu_microseconds(pid_t pid) {
  std::ostringstream text;
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  text << stat.rdbuf();
  const std::string all = text.str();
  std::istringstream fields(all.substr(all.rfind(')') + 2));  // the name before it may have spaces
  std::string skipped;
  for (int i = 0; i < 11; i++) fields >> skipped;
  int64_t user = 0, system = 0;
  fields >> user >> system;
  return (user + system) * 1'000'000 / sysconf(_SC_CLK_TCK);
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
