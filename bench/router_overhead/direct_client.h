// The same tokens without a router: a WorkerSession that starts the attempts itself. What it
// measures is the floor that the router's latency stands on: the mock's write, gRPC, one parse.
#pragma once
#include <string>

#include "bench/common/samples.h"

namespace bessemer::bench {

// `streams` attempts of the mock worker at `address` for warm_up_s + measure_s; latencies of the
// second part.
Samples run_direct(const std::string& address, int streams, double warm_up_s, double measure_s);

}  // namespace bessemer::bench
