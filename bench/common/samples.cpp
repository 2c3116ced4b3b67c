#include "bench/common/samples.h"

#include <algorithm>
#include <numeric>

namespace bessemer::bench {

double Samples::mean() const {
  if (values_.empty()) return 0;
  return std::accumulate(values_.begin(), values_.end(), 0.0) / static_cast<double>(values_.size());
}

double Samples::max() {
  return quantile(1);
}

double Samples::quantile(double share) {
  if (values_.empty()) return 0;
  sort();
  const double rank = std::clamp(share, 0.0, 1.0) * static_cast<double>(values_.size() - 1);
  const auto below = static_cast<size_t>(rank);
  const size_t above = std::min(below + 1, values_.size() - 1);
  return values_[below] + (rank - static_cast<double>(below)) * (values_[above] - values_[below]);
}

void Samples::sort() {
  if (!sorted_) std::ranges::sort(values_);
  sorted_ = true;
}

double median(const std::vector<double>& values) {
  Samples samples;
  for (const double value : values) samples.add(value);
  return samples.quantile(0.5);
}

}  // namespace bessemer::bench
