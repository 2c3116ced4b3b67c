// Keeps a router and its workers running on this machine: starts them, restarts what dies, stops
// them in the right order.
#pragma once
#include <functional>
#include <vector>

#include "cli/serve/child.h"

namespace bessemer {

struct SupervisorOptions {
  int64_t stop_timeout_ms =
      45'000;  // SIGTERM to SIGKILL, per group: longer than the children's own drain time
  std::function<void()> on_ready;  // once, when every child has said so
};

// Invariants
//   S1  A child that was ready once is restarted whenever it exits, after a back-off of 100 ms
//       doubling to 5 s that starts anew when the child has lived for 30 s.
//   S2  A child that exits before it was ever ready stops everything: its error is on the screen,
//       trying again would hide it.
//   S3  Stopping: the router first, so that no new work comes; the workers when the router has
//       gone. A second signal asks all to stop at once; what has not gone after stop_timeout_ms is
//       killed.
// Returns the exit code: 0 after a stop that was asked for. Must be called while the process has
// one thread.
int supervise(const ChildSpec& router, const std::vector<ChildSpec>& workers,
              const SupervisorOptions& options);

}  // namespace bessemer
