// E8: no choice reads KV that was computed under another root. That the tokens behind it are its
// own history is what the fake device sees to, row by row; tokens alone cannot tell whose they are.
//
// A plan does not name requests, so the simulation's seeds name roots (root_of_seed).
#pragma once
#include <map>
#include <string>
#include <vector>

#include "common/range.h"
#include "tests/engine/checkers/checker.h"

namespace bessemer {

constexpr uint64_t kRoots = 3;
inline std::string root_of_seed(uint64_t seed) {
  return seed % kRoots == 0 ? "" : "tenant " + std::to_string(seed % kRoots);
}

class SharesWithinItsRoot final : public Checker {
 public:
  SharesWithinItsRoot(Complain complain, const Limits& limits)
      : Checker(std::move(complain)), limits_(limits) {}

  void on_plan(const StepPlan& plan, const Scheduler&) override {
    for (const Open& open : plan.open) {
      slots_[open.slot] = {open.sampling.seed % kRoots, 0, {limits_.groups.size(), Table{}}};
    }
    for (const Grow& grow : plan.grow) {
      Table& table = slots_[grow.slot].tables[static_cast<size_t>(grow.group)];
      table.resize(static_cast<size_t>(grow.at));
      append(table, slice(plan.ints, grow.blocks));
    }
    for (const Move& move : plan.moves) writers_[{move.group, move.to}] = writer(move);
    for (const Work& work : plan.work) see(work);
  }

 private:
  using Table = std::vector<int32_t>;
  struct Slot {
    uint64_t root = 0;
    int32_t length = 0;
    std::vector<Table> tables;  // by group
  };
  uint64_t writer(const Move& move) { return writers_[{move.group, move.from}]; }

  void see(const Work& work) {
    Slot& slot = slots_[work.slot];
    const int32_t begin = work.begin == kAtLength ? slot.length : work.begin;
    slot.length = begin + work.count;
    for (size_t g = 0; g < slot.tables.size(); ++g) {
      const int32_t tokens = limits_.groups[g].block_tokens, group = static_cast<int32_t>(g);
      for (int32_t at = 0; at * tokens < slot.length; ++at) {
        uint64_t& writer = writers_[{group, slot.tables[g][static_cast<size_t>(at)]}];
        if (at * tokens < begin) expect(writer == slot.root, "E8: KV of another root is read");
        if ((at + 1) * tokens > begin) writer = slot.root;
      }
    }
  }

  const Limits limits_;
  std::map<int32_t, Slot> slots_;
  std::map<std::pair<int32_t, int32_t>, uint64_t> writers_;  // root, by (group, block)
};

}  // namespace bessemer
