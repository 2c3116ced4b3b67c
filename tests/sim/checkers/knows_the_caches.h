// T3: once the last report has come, every router's index is what the workers' caches are; and
// every match until then was that of the index's oracle, a plain set fed by the same reports.
#pragma once
#include <algorithm>

#include "tests/sim/cluster.h"

namespace bessemer::sim {

class KnowsTheCaches final : public Checker {
 public:
  void on_idle(const Cluster& cluster) override {
    for (uint32_t worker = 0; worker < cluster.workers().size(); ++worker) {
      const NaiveIndex::Blocks there = blocks_of(cluster.workers()[worker]->scheduler());
      for (const auto& router : cluster.routers()) {
        const NaiveIndex::Blocks& known = router->oracle().of(worker);
        const std::string who = "of worker " + std::to_string(worker) + " ";
        expect(known == there, who + std::to_string(known.size()) + " blocks are known, it has " +
                                   std::to_string(there.size()));
        uint64_t digest = 0;
        for (const uint64_t hash : there) digest ^= hash;
        expect(router->index().count(worker) == there.size() &&
                   router->index().digest(worker) == digest,
               who + "the index has other blocks than it has");
        expect(router->wrong_matches() == 0,
               std::to_string(router->wrong_matches()) + " matches were not the oracle's");
      }
    }
  }

 private:
  static NaiveIndex::Blocks blocks_of(const Scheduler& scheduler) {
    std::vector<KvChange> changes;
    KvEventLog::State now;
    size_t at = 0;
    do {
      at = scheduler.kv().events().scan(at, SIZE_MAX, changes, now);
    } while (at != 0);
    NaiveIndex::Blocks blocks;
    for (const KvChange& change : changes) blocks.insert(change.hash);
    return blocks;
  }
};

}  // namespace bessemer::sim
