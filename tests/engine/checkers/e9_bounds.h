// E9 and P3: queues, rows, logit rows, slots and steps stay within their named bounds.
#pragma once
#include "tests/engine/checkers/checker.h"

namespace bessemer {

class StaysWithinBounds final : public Checker {
 public:
  StaysWithinBounds(Complain complain, const Limits& limits, const EngineOptions& options)
      : Checker(std::move(complain)), limits_(limits), options_(options) {}

  void on_plan(const StepPlan& plan, const Scheduler& scheduler) override {
    int32_t rows = 0, logit_rows = 0;
    for (const Work& work : plan.work) {
      rows += work.count;
      if (work.want == Want::sample) ++logit_rows;
      if (work.want == Want::score || work.want == Want::score_and_sample) logit_rows += work.count;
    }
    expect(rows <= std::min(limits_.rows, options_.step_tokens), "P3: too many rows");
    expect(logit_rows <= limits_.logit_rows, "P3: too many logit rows");
    expect(!plan.work.empty(), "a step without work");
    expect(plan.id == last_ + 1, "step ids have a gap");
    last_ = plan.id;
    expect(static_cast<int32_t>(scheduler.steps_in_flight()) <= limits_.steps_in_flight,
           "P3: too many steps in flight");
    const EngineStats stats = scheduler.stats();
    expect(stats.slots_open <= limits_.slots, "P3: too many slots");
    expect(stats.running + stats.waiting + stats.parked <=
               limits_.slots + options_.max_waiting + options_.max_parked,
           "E9: too many requests are here");
  }

 private:
  const Limits limits_;
  const EngineOptions options_;
  StepId last_ = 0;
};

}  // namespace bessemer
