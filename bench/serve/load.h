// Puts a phase's load on a server: one thread, one event loop, a keep-alive connection for each
// request under way.
#pragma once
#include <cstdint>
#include <vector>

#include "bench/serve/outcome.h"
#include "bench/serve/target.h"
#include "bench/serve/workload.h"

namespace bessemer::bench {

struct LoadOptions {
  // A closed loop: so many conversations at once, the next begins when one ends. A timed phase is
  // an open loop: a conversation begins at its arrival, whatever the server does.
  int concurrency = 1;
  // Of an open loop: sockets of this process; what arrives beyond is a failure (overrun).
  int max_in_flight = 1024;
  Duration timeout = std::chrono::seconds(600);  // of one answer, whole
};

struct LoadResult {
  std::vector<Outcome> outcomes;  // one for each turn of the phase, whatever became of it
  double wall_s = 0;              // from the first due to the last end
  double client_cpu_share = 0;    // of one core: near 1, the client itself was the limit
};

// Unavailable: the server's name is not known. All else is an Outcome.
StatusOr<LoadResult> run_load(const Target& target, const Phase& phase, const LoadOptions& options);

}  // namespace bessemer::bench
