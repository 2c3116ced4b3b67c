// What a rank remembers of the sequences it runs: plans are deltas to it (engine/step.h).
//
// Invariants
//   R1  length <= history.size(): the KV of history[0, length) is stored. A Work may begin beyond
//       it where the blocks that Grow gave hold a cached prefix.
//   R2  After a draw history.size() = length + 1; the drawn token is the next Work's first row.
//   R3  A slot with a fault computes nothing until it is closed.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "worker/engine/step.h"

namespace bessemer {

struct Slot {
  bool open = false;
  Fault fault = Fault::ok;  // of an earlier step: the history has a hole
  int32_t choice = 0, prompt_len = 0;
  int32_t length = 0;            // tokens whose KV is stored
  std::vector<int32_t> history;  // prompt and output so far
  SamplingParams sampling;       // its ranges point into tokens and floats
  std::vector<int32_t> tokens;
  std::vector<float> floats;
  std::vector<std::vector<int32_t>>
      tables;  // per KV group: block ids in order; -1: left the window
};

class SlotTable {
 public:
  explicit SlotTable(const Limits& limits);

  // Closes, opens and grows as the plan says, in this order. A plan that breaks P1 or points
  // outside the limits is a broken invariant of the engine.
  void apply(const StepPlan& plan);

  // Closes all: the ranks' state is lost.
  void clear();

  Slot& at(int32_t slot);
  const Slot& at(int32_t slot) const;

 private:
  void open(const StepPlan& plan, const Open& open);
  void grow(const StepPlan& plan, const Grow& grow);

  const Limits limits_;
  std::vector<Slot> slots_;
};

// Where `work` begins, kAtLength resolved.
int32_t begin_of(const Slot& slot, const Work& work);

}  // namespace bessemer
