// The bounds that protect a worker hold at any time: its queue, its blocks, its slots; and no
// placement asks more often than its limits say.
#pragma once
#include "tests/sim/cluster.h"

namespace bessemer::sim {

class StaysWithinBounds final : public Checker {
 public:
  void on_tick(const Cluster& cluster) override {
    for (const auto& worker : cluster.workers()) {
      const EngineStats stats = worker->scheduler().stats();
      const WorkerOptions& options = worker->options();
      // Plus those that lost their slot to others.
      expect(stats.waiting <= options.engine.max_waiting + options.limits.slots,
             std::to_string(stats.waiting) + " requests wait in a worker");
      expect(stats.slots_open <= options.limits.slots, "more choices than slots run");
      expect(stats.kv_free + stats.kv_held + stats.kv_cached == stats.kv_total,
             "free, held and cached blocks are not all there are");
    }
  }
  void on_end(const Record& record, const Cluster& cluster) override {
    expect(record.bounces <= cluster.options().router.limits.max_bounces,
           "a request was refused " + std::to_string(record.bounces) + " times");
  }
};

}  // namespace bessemer::sim
