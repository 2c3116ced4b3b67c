// When requests arrive: seconds from the begin, ascending.
#pragma once
#include <vector>

#include "bench/common/trace.h"
#include "common/random.h"

namespace bessemer::bench {

// A Poisson process: gaps are independent and exponentially distributed with mean 1 / rate_per_s.
std::vector<double> poisson_arrivals(double rate_per_s, size_t count, Random& random);

// Those of the first `count` requests of a trace; round and round, if it has fewer. Each is moved
// forward by a uniform share of the trace's quantum: a trace that was written down in steps of 3 s
// would otherwise hit the server with bursts that nobody sent.
std::vector<double> trace_arrivals(const Trace& trace, size_t count, Random& random);

}  // namespace bessemer::bench
