// Of equal workers none gets much more or less of the work than the others: no herd, nobody
// starved. Only where prompts have nothing in common: a cache is a reason to be uneven.
#pragma once
#include <algorithm>

#include "tests/sim/cluster.h"

namespace bessemer::sim {

class SharesEvenly final : public Checker {
 public:
  // `most`: the greatest share over the mean.
  explicit SharesEvenly(double most) : most_(most) {}

  void on_idle(const Cluster& cluster) override {
    uint64_t sum = 0, greatest = 0;
    for (const auto& worker : cluster.workers()) {
      sum += worker->prompt_tokens_computed();
      greatest = std::max(greatest, worker->prompt_tokens_computed());
    }
    const double mean = static_cast<double>(sum) / static_cast<double>(cluster.workers().size());
    const double excess = static_cast<double>(greatest) / mean;
    expect(excess <= most_, "a worker computed " + std::to_string(excess) +
                                " times the mean, more than " + std::to_string(most_));
  }

 private:
  const double most_;
};

}  // namespace bessemer::sim
