// From a plan to what the backend uploads: rows, positions, block tables, and who wants which
// logits. Pure.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "worker/backend/batch.h"
#include "worker/engine/step.h"
#include "worker/runner/slot_table.h"

namespace bessemer {

// A token to be drawn from one row of the step's logits.
struct Draw {
  int32_t work = 0, logit_row = 0;
};
// Neighbouring rows of the logits whose next tokens are known.
struct ScoreRun {
  int32_t work = 0, logit_row = 0;
  Range targets;    // PreparedStep::targets, one per row
  int32_t top = 0;  // alternatives per row
};

struct PreparedStep {
  StepInputs inputs;
  std::vector<Draw> draws;  // in the order of their logit rows
  std::vector<ScoreRun> scores;
  std::vector<int32_t> targets;
  std::vector<int32_t> end;  // per Work: positions stored once it is done; -1: it computes nothing
  int32_t longest_query = 0, longest_kv = 0;

  void clear();
};

// Lays out the rows of all Works whose slots have no fault, in the plan's order. The plan has been
// applied to `slots`. Works outside the limits, or whose KV blocks were not reserved (P4), are
// broken invariants.
void prepare_step(const StepPlan& plan, const SlotTable& slots, const Limits& limits,
                  PreparedStep& step);

}  // namespace bessemer
