// One router process: the HTTP front, the sessions to the workers, and what lies between.
#pragma once
#include "router/config.h"

namespace bessemer {

// Binds, announces the port (RouterConfig::ready_fd), serves until SIGTERM or SIGINT, then drains: no new requests, running
// streams may finish within drain_ms; a second signal stops at once. Must be called from the main thread before any other
// exists. Returns the process's exit code: 0 after a stop, 1 when the router could not start (the reason is logged).
int run_router(const RouterConfig& config);

}  // namespace bessemer
