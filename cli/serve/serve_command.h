// `bessemer serve`: a cluster of one machine.
#pragma once
#include "cli/config/fields.h"
#include "cli/environment.h"
#include "common/status.h"

namespace bessemer {

// Exit code. Must be called while the process has one thread.
int serve_command(ServeConfig config, const Environment& environment);

// InvalidArgument names the first setting that cannot be, and what it may be.
Status check(const ServeConfig& config);

// Command lines of child processes: every setting as a flag. {ready_fd} is left for start_child to
// fill in.
std::vector<std::string> router_args(const RouterConfig& config, const LogConfig& log);
std::vector<std::string> worker_args(const WorkerConfig& config, const LogConfig& log);

}  // namespace bessemer
