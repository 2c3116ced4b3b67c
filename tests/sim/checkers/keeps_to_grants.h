// With admission queues are short: while any worker has room nobody waits at a gate, so at any time
// the shortest queue is within what was granted (worker/service/grants.h), twice the target and a
// prompt of each router. A single worker's is the shortest one.
#pragma once
#include <algorithm>
#include <cstdint>

#include "tests/sim/cluster.h"

namespace bessemer::sim {

class KeepsToGrants final : public Checker {
 public:
  void on_tick(const Cluster& cluster) override {
    if (cluster.options().router.admission) look(cluster);
  }
  void on_end(const Record& record, const Cluster&) override {
    if (record.retry_after_s < 0) return;
    expect(record.retry_after_s >= 0.5 && record.retry_after_s <= 120,
           "a request was told to come back in " + std::to_string(record.retry_after_s) + " s");
  }
  void look(const Cluster& cluster) {
    int64_t least_excess = INT64_MAX;
    for (const auto& worker : cluster.workers()) {
      const EngineStats stats = worker->scheduler().stats();
      if (stats.preemptions > 0) return;  // what had been computed is in the queue once more
      const int64_t prompts = longest_prompt(cluster) * cluster.options().routers;
      least_excess =
          std::min(least_excess, stats.backlog_tokens - 2 * worker->most_room() - prompts);
    }
    expect(least_excess <= 0, "the shortest queue is " + std::to_string(least_excess) +
                                  " tokens longer than grants allow");
  }

 private:
  int64_t longest_prompt(const Cluster& cluster) {
    if (longest_ > 0) return longest_;
    for (const Conversation& one : cluster.workload().conversations) {
      for (const Turn& turn : one.turns)
        longest_ = std::max<int64_t>(longest_, length_of(turn.prompt));
    }
    return longest_;
  }

  int64_t longest_ = 0;
};

}  // namespace bessemer::sim
