// One worker process: a model on a backend behind an engine, served over gRPC.
#pragma once
#include "worker/config.h"

namespace bessemer {

// Loads the model, binds, announces the port (WorkerConfig::ready_fd), serves until SIGTERM or
// SIGINT, then drains: what runs may finish within drain_ms; a second signal stops at once. Must be
// called from the main thread before any other exists, since it blocks these signals for all.
// Returns the process's exit code: 0 after a stop, 1 when the worker could not start (the reason is
// logged).
int run_worker(const WorkerConfig& config);

}  // namespace bessemer
