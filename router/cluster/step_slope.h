// How much longer a worker's step takes for each sequence more that decodes (CLUSTER.md's sigma):
// the slope of a line through (running, step time), learnt from its reports. Backends differ by a
// factor of five hundred in it, so a constant would be wrong for most.
#pragma once
#include <cstdint>

namespace bessemer {

class StepSlope {
 public:
  // Of a report without prompts in work: their rows would be taken for sequences' cost.
  void observe(int64_t running, double step_seconds);
  // Seconds a step and sequence; 0: nothing is known yet.
  double seconds() const;

 private:
  // Exponentially decayed sums over observations.
  double weight_ = 0, n_ = 0, t_ = 0, nn_ = 0, nt_ = 0;
};

}  // namespace bessemer
