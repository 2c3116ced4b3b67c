// A real worker as a child process of the test: this very program, started again with "worker" as
// its first argument.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

#include "worker/config.h"

namespace bessemer::testing {

class WorkerProcess {
 public:
  // Starts and waits for READY; port() is 0 when it did not come.
  explicit WorkerProcess(const std::vector<std::string>& settings);
  ~WorkerProcess();  // SIGKILL
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  void signal(int number) const;
  // The exit code, or 128 + the signal that ended it; -1: it still runs after `seconds`.
  int wait(double seconds);

 private:
  pid_t pid_ = -1;
  int port_ = 0;
  bool ended_ = false;
};

// main() of the child: settings are "key=value" of a few WorkerConfig fields.
int run_worker_process(int argc, char** argv);

}  // namespace bessemer::testing
