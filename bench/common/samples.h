// Samples of one quantity and what is said of them.
#pragma once
#include <cstddef>
#include <vector>

namespace bessemer::bench {

class Samples {
 public:
  void add(double value) {
    values_.push_back(value);
    sorted_ = false;
  }
  size_t count() const { return values_.size(); }
  // Of an empty set all of these are 0.
  double mean() const;
  double max();
  // `share` in [0, 1]; linear between the two neighbours (Hyndman and Fan 1996, type 7: numpy's
  // default), so that the median of two samples is their mean.
  double quantile(double share);

 private:
  void sort();

  std::vector<double> values_;
  bool sorted_ = true;
};

double median(const std::vector<double>& values);

}  // namespace bessemer::bench
