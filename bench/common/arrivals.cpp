#include "bench/common/arrivals.h"

#include <algorithm>
#include <cmath>

namespace bessemer::bench {

std::vector<double> poisson_arrivals(double rate_per_s, size_t count, Random& random) {
  std::vector<double> arrivals;
  arrivals.reserve(count);
  double at = 0;
  for (size_t i = 0; i < count; ++i) {
    at += -std::log(1 - random.uniform()) / rate_per_s;  // uniform() < 1
    arrivals.push_back(at);
  }
  return arrivals;
}

std::vector<double> trace_arrivals(const Trace& trace, size_t count, Random& random) {
  std::vector<double> arrivals;
  if (trace.requests.empty()) return arrivals;
  arrivals.reserve(count);
  const double begin = trace.requests.front().at_s;
  const double length = trace.requests.back().at_s - begin + trace.quantum_s;
  for (size_t i = 0; i < count; ++i) {
    const size_t round = i / trace.requests.size();
    const double at = trace.requests[i % trace.requests.size()].at_s - begin;
    arrivals.push_back(static_cast<double>(round) * length + at +
                       random.uniform() * trace.quantum_s);
  }
  std::ranges::sort(arrivals);
  return arrivals;
}

}  // namespace bessemer::bench
