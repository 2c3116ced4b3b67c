// Samples of a latency and what is said of them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace bessemer {

class Latency {
 public:
  void add(int64_t microseconds) { samples_.push_back(microseconds); }
  void clear() { samples_.clear(); }
  size_t count() const { return samples_.size(); }
  // Of an empty set: 0.
  int64_t quantile(double share) {
    if (samples_.empty()) return 0;
    const auto rank = static_cast<std::ptrdiff_t>(share * static_cast<double>(samples_.size() - 1));
    std::nth_element(samples_.begin(), samples_.begin() + rank, samples_.end());
    return samples_[static_cast<size_t>(rank)];
  }

 private:
  std::vector<int64_t> samples_;
};

}  // namespace bessemer
