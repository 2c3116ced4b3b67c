// The exponential mean that load reports and the pace of chunks are made of.
#pragma once

namespace bessemer {

// `mean` with `value` taken in by `weight`; a mean of 0 has seen nothing yet.
constexpr double take_into_mean(double mean, double value, double weight) {
  return mean == 0 ? value : mean + weight * (value - mean);
}

}  // namespace bessemer
