// How much longer a worker's step takes for each sequence more that decodes (CLUSTER.md's sigma):
// the slope of a line through (sequences, time) of the steps without prompts that it reports.
// Backends differ by a factor of five hundred in it, so a constant would be wrong for most. A mean
// over all steps would not do: for seconds after a prompt most of it is that prompt's time.
#pragma once
#include <cstdint>

namespace bessemer {

class StepSlope {
 public:
  // Of a step without prompts; what was observed last is not counted again.
  void observe(int64_t sequences, double seconds);
  // Seconds a step and sequence; 0: nothing is known yet.
  double seconds() const;

 private:
  int64_t last_sequences_ = 0;
  double last_seconds_ = 0;
  // Exponentially decayed sums over observations.
  double weight_ = 0, n_ = 0, t_ = 0, nn_ = 0, nt_ = 0;
};

}  // namespace bessemer
