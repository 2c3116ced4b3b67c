// E4, K2: a block that a launched and uncommitted step may touch is neither free nor cached, so
// nobody else can get it.
#pragma once
#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "common/range.h"
#include "tests/engine/checkers/checker.h"

namespace bessemer {

class BlocksAreHeld final : public Checker {
 public:
  using Checker::Checker;
  void on_plan(const StepPlan& plan, const Scheduler& scheduler) override {
    for (const int32_t slot : plan.close) tables_.erase(slot);
    for (const Grow& grow : plan.grow) {
      auto& table = tables_[grow.slot];
      table.resize(static_cast<size_t>(scheduler.kv().group_count()));
      auto& blocks = table[static_cast<size_t>(grow.group)];
      blocks.resize(static_cast<size_t>(grow.at));  // the plan names all behind it
      append(blocks, slice(plan.ints, grow.blocks));
    }
    Touched touched{plan.id, {}, false};
    for (const Move& move : plan.moves) {
      touched.blocks.insert({move.group, move.from});
      touched.blocks.insert({move.group, move.to});
    }
    for (const Work& work : plan.work) {
      const auto& table = tables_[work.slot];
      for (size_t g = 0; g < table.size(); ++g) {
        for (const int32_t block : table[g])
          touched.blocks.insert({static_cast<int32_t>(g), block});
      }
    }
    in_flight_.push_back(std::move(touched));
    check(scheduler.kv());
  }
  void on_result(const StepResult& result) override {
    expect(!in_flight_.empty() && in_flight_.front().step == result.id, "results out of order");
    if (in_flight_.empty()) return;
    const bool was_void = in_flight_.front().is_void;  // its slots were lost before
    in_flight_.pop_front();
    if (result.fault != Fault::group_lost || was_void) return;
    tables_.clear();
    for (Touched& step : in_flight_) step = {step.step, {}, true};
  }
  void on_commit(const Scheduler& scheduler) override { check(scheduler.kv()); }

 private:
  using Block = std::pair<int32_t, int32_t>;  // group, id
  struct Touched {
    StepId step;
    std::set<Block> blocks;
    bool is_void = false;
  };
  void check(const KvSpace& kv) {
    std::set<Block> open;  // to whoever needs one
    for (int32_t group = 0; group < kv.group_count(); ++group) {
      for (const int32_t block : kv.pool(group).free_blocks()) open.insert({group, block});
    }
    for (const Touched& step : in_flight_) {
      for (const auto& [group, block] : step.blocks) {
        expect(!open.contains({group, block}) && !kv.pool(group).is_cached(block),
               "E4: block " + std::to_string(block) + " can be handed out while step " +
                   std::to_string(step.step) + " touches it");
      }
    }
  }

  std::map<int32_t, std::vector<std::vector<int32_t>>> tables_;  // by slot, then group
  std::deque<Touched> in_flight_;
};

}  // namespace bessemer
