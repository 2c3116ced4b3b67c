// The bounds hold at any time: a worker's queue, its blocks, its slots; what waits in a router
// (T2); and no placement asks more often than its limits say.
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
    for (const auto& router : cluster.routers()) {
      expect(router->waiting() <= router->options().max_waiting,
             std::to_string(router->waiting()) + " requests wait in a router");
    }
  }
  void on_end(const Record& record, const Cluster& cluster) override {
    const PlacementLimits& limits = cluster.options().router.limits;
    expect(record.bounces <= limits.max_bounces,
           "a request was refused " + std::to_string(record.bounces) + " times");
  }
};

}  // namespace bessemer::sim
