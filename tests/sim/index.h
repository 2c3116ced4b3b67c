// Which worker has which blocks, as WatchKv says: a set for each worker, exact and slow. The oracle
// of the router's own index.
#pragma once
#include <cstdint>
#include <span>
#include <unordered_set>
#include <vector>

#include "bessemer/v1/cluster.pb.h"

namespace bessemer::sim {

class NaiveIndex {
 public:
  using Blocks = std::unordered_set<uint64_t>;

  void apply(uint32_t worker, const v1::KvUpdate& update) {
    if (sets_.size() <= worker) sets_.resize(worker + 1);
    Blocks& blocks = sets_[worker];
    if (update.reset()) blocks.clear();
    for (const v1::KvRun& run : update.runs()) {
      if (run.cleared()) blocks.clear();
      for (const uint64_t hash : run.removed()) blocks.erase(hash);
      blocks.insert(run.stored().begin(), run.stored().end());
    }
  }
  // How many first blocks of a chain the worker has.
  size_t matched(uint32_t worker, std::span<const uint64_t> blocks) const {
    if (sets_.size() <= worker) return 0;
    size_t count = 0;
    while (count < blocks.size() && sets_[worker].contains(blocks[count])) ++count;
    return count;
  }
  const Blocks& of(uint32_t worker) const {
    return worker < sets_.size() ? sets_[worker] : nothing_said_;
  }

 private:
  const Blocks nothing_said_;
  std::vector<Blocks> sets_;
};

}  // namespace bessemer::sim
