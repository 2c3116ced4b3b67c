// Writes one StepPlan and counts what is left of the step's budgets (P3).
#pragma once
#include <cstdint>
#include <vector>

#include "worker/engine/sequence.h"
#include "worker/engine/step.h"

namespace bessemer {

// What a launched step is remembered by until its result has been committed.
struct LaunchedWork {
  Sequence* sequence = nullptr;
  int32_t begin = 0, count = 0;
  Want want = Want::nothing;
};
struct LaunchedStep {
  StepId id = 0;
  TimePoint at{};
  std::vector<LaunchedWork> works;  // as in the plan
  int32_t rows = 0, streams = 0;    // streams: Works that are a draw and nothing else
  int32_t prefill_rows = 0;
  bool is_void = false;  // the group was lost: only the runner's answer is waited for
};

class StepBuilder {
 public:
  StepBuilder(int32_t rows, int32_t logit_rows) : rows_left_(rows), logit_rows_left_(logit_rows) {}

  // A slot for `sequence`, with all of its history; its blocks follow by grow().
  void open(const Sequence& sequence);
  // Tells the slot of the blocks it does not know yet.
  void grow(Sequence& sequence);
  // Where KvSpace::grow puts the copies that this step must make. The builder holds their sources
  // until it is destroyed, which must not be before the step counts as launched.
  std::vector<CopyOnWrite>& copies() { return copies_; }
  // Counts the rows as launched.
  void work(Sequence& sequence, const Chunk& chunk);

  int32_t rows_left() const { return rows_left_; }
  int32_t logit_rows_left() const { return logit_rows_left_; }
  bool empty() const { return launched_.works.empty(); }
  int32_t choices() const { return static_cast<int32_t>(launched_.works.size()); }

  // The plan, which closes the slots `close` first. The builder is spent, but for launched().
  StepPlan finish(StepId id, TimePoint now, std::vector<int32_t> close);
  LaunchedStep& launched() { return launched_; }

 private:
  StepPlan plan_;
  LaunchedStep launched_;
  std::vector<CopyOnWrite> copies_;
  int32_t rows_left_, logit_rows_left_;
};

}  // namespace bessemer
