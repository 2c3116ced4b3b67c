// One child process: started with a pipe on which it says that it is ready, reaped by the
// supervisor.
#pragma once
#include <string>
#include <vector>

#include <sys/types.h>

#include "common/status.h"

namespace bessemer {

struct ChildSpec {
  std::string name;  // "router", "worker 0": for messages
  std::vector<std::string>
      args;  // behind the program's own path; "{ready_fd}" is replaced by the descriptor's number
  std::vector<int> cpus;  // cores it may use; empty: all of ours
};

struct StartedChild {
  pid_t pid = -1;
  int ready_fd =
      -1;  // read end, non-blocking: gets "READY ...\n"; end of file when the child is gone
};

// Runs this very program again with `spec.args`. The child leads a process group of its own, so
// that ctrl-C reaches the supervisor alone, has default signals, and gets SIGTERM when the
// supervisor dies.
StatusOr<StartedChild> start_child(const ChildSpec& spec);

// Cores this process may use, ascending.
std::vector<int> allowed_cpus();
// Share `index` of `count` of `cpus`: disjoint while there are enough, else one core each, round
// robin.
std::vector<int> cpu_share(const std::vector<int>& cpus, int index, int count);
// Threads of worker `index` of `count` where `processors` may be busy at once; at least one.
int thread_share(int processors, int index, int count);

}  // namespace bessemer
