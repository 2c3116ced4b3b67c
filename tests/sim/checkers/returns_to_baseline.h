// When all is over nothing is held: no KV block, no slot, no request, no pledge, no count of a
// router's own.
#pragma once
#include "tests/sim/cluster.h"

namespace bessemer::sim {

class ReturnsToBaseline final : public Checker {
 public:
  void on_idle(const Cluster& cluster) override {
    for (const auto& router : cluster.routers()) {
      expect(router->pledged().pairs() == 0,
             "a router has pledges of " + std::to_string(router->pledged().pairs()) + " blocks");
      expect(router->waiting() == 0, "requests wait in a router");
    }
    for (size_t i = 0; i < cluster.workers().size(); ++i) {
      const Scheduler& scheduler = cluster.workers()[i]->scheduler();
      const std::string who = "worker " + std::to_string(i);
      scheduler.kv().check();
      expect(!scheduler.has_requests() && scheduler.steps_in_flight() == 0, who + " is not idle");
      expect(scheduler.kv().held_count() == 0,
             who + " holds " + std::to_string(scheduler.kv().held_count()) + " blocks");
      expect(scheduler.stats().backlog_tokens == 0, who + " has a backlog");
      for (const auto& router : cluster.routers()) check_slot(*router, static_cast<uint32_t>(i));
    }
  }

 private:
  void check_slot(const SimRouter& router, uint32_t worker) {
    const LoadSlot& slot = router.load(worker);
    const LoadReading reading = slot.reading.load();
    const std::string who = "a router's view of worker " + std::to_string(worker);
    expect(slot.own.load() == 0, who + " counts choices of its own");
    expect(slot.unadmitted.load() == 0, who + " counts prompts on their way");
    expect(slot.sequences(reading) == 0, who + " has sequences");
    expect(reading.backlog_tokens == 0 && reading.kv_free == reading.kv_total,
           who + " has a backlog or blocks");
  }
};

}  // namespace bessemer::sim
