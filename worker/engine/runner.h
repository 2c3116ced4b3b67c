// What the engine needs of whoever executes its plans.
#pragma once
#include <functional>

#include "worker/engine/step.h"

namespace bessemer {

class Runner {
 public:
  virtual ~Runner() = default;
  // Settled before the first launch; never changes.
  virtual const Limits& limits() const = 0;
  // Called once, before the first launch. The sink may be called from any thread, once per launched
  // plan, in StepId order.
  virtual void set_result_sink(std::function<void(StepResult)> sink) = 0;
  // Never blocks. At most limits().steps_in_flight plans are launched and unanswered at a time.
  virtual void launch(StepPlan plan) = 0;
};

}  // namespace bessemer
