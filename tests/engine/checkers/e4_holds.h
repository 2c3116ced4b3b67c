// E4: a block that a launched and uncommitted step may touch is never free, so nobody else can get
// it.
#pragma once
#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "tests/engine/checkers/checker.h"

namespace bessemer {

class BlocksAreHeld final : public Checker {
 public:
  using Checker::Checker;
  void on_plan(const StepPlan& plan, const Scheduler& scheduler) override {
    for (const int32_t slot : plan.close) tables_.erase(slot);
    for (const Grow& grow : plan.grow) {
      auto& table = tables_[grow.slot];
      for (const int32_t block : slice(plan.ints, grow.blocks))
        table.push_back({grow.group, block});
    }
    Touched touched{plan.id, {}};
    for (const Move& move : plan.moves) {
      touched.blocks.insert({move.group, move.from});
      touched.blocks.insert({move.group, move.to});
    }
    for (const Work& work : plan.work) {
      touched.blocks.insert(tables_[work.slot].begin(), tables_[work.slot].end());
    }
    in_flight_.push_back(std::move(touched));
    check(scheduler.kv());
  }
  void on_result(const StepResult& result) override {
    expect(!in_flight_.empty() && in_flight_.front().step == result.id, "results out of order");
    if (!in_flight_.empty()) in_flight_.pop_front();
    if (result.fault != Fault::group_lost) return;
    tables_.clear();
    for (Touched& step : in_flight_) step.blocks.clear();
  }
  void on_commit(const Scheduler& scheduler) override { check(scheduler.kv()); }

 private:
  using Block = std::pair<int32_t, int32_t>;  // group, id
  struct Touched {
    StepId step;
    std::set<Block> blocks;
  };
  void check(const KvSpace& kv) {
    for (int32_t group = 0; group < kv.group_count(); ++group) {
      for (const int32_t block : kv.pool(group).free_blocks()) {
        for (const Touched& step : in_flight_) {
          expect(!step.blocks.contains({group, block}),
                 "E4: block " + std::to_string(block) + " is free while step " +
                     std::to_string(step.step) + " touches it");
        }
      }
    }
  }

  std::map<int32_t, std::vector<Block>> tables_;  // by slot
  std::deque<Touched> in_flight_;
};

}  // namespace bessemer
