// From the figures of several runs to one line each: medians, and ratios of runs that stood beside
// each other in time.
#pragma once
#include <string>
#include <vector>

#include "bench/serve/summary.h"

namespace bessemer::bench {

struct Compared {
  std::string name;
  Better better = Better::neither;
  double a = 0, b = 0;  // medians of the runs
  // How many times better A is: the quotient of each pair of runs, the way round that puts the
  // better server above 1; the median, the least and the most of them. 0 where nothing can be
  // compared: no pair without a zero, or a figure that only describes.
  double ratio = 0, least = 0, most = 0;
};

// `a_runs[i]` and `b_runs[i]` ran one after the other. A host whose clock drifts moves both of a
// pair: their quotient keeps still where medians of each side would not. Figures of A's first run
// decide which there are, and in which order. `b_runs` may be empty: medians of A alone.
std::vector<Compared> compare(const std::vector<std::vector<Figure>>& a_runs,
                              const std::vector<std::vector<Figure>>& b_runs);

}  // namespace bessemer::bench
