// E2, K1, K4: free + cached + held blocks = total after every commit, and the cached ones can go in
// their order; nothing is held when idle.
#pragma once
#include "tests/engine/checkers/checker.h"

namespace bessemer {

class BlocksAddUp final : public Checker {
 public:
  using Checker::Checker;
  void on_plan(const StepPlan&, const Scheduler& scheduler) override { add_up(scheduler.kv()); }
  void on_commit(const Scheduler& scheduler) override { add_up(scheduler.kv()); }
  void on_idle(const Scheduler& scheduler) override {
    add_up(scheduler.kv());
    expect(scheduler.kv().held_count() == 0, "E2: an idle engine holds blocks");
  }

 private:
  void add_up(const KvSpace& kv) {
    kv.check();
    expect(kv.free_count() + kv.cached_count() + kv.held_count() == kv.total(),
           "E2: blocks do not add up");
  }
};

}  // namespace bessemer
