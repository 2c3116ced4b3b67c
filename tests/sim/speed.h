// How long a step takes, by the roofline: a fixed part, and the greater of what has to be computed
// and what has to be read.
//
// The defaults are a dense 70B model (LLaMA2-70B: 80 layers, 64 heads and 8 KV heads of 128, bf16)
// on a node of eight A800, for which Mooncake's traces were published (FAST'25, section 5), at half
// of the arithmetic peak of 8 x 312 TFLOP/s and 0.7 of the bandwidth of 8 x 2.04 TB/s:
//   row      2 x 70e9 FLOP / 1.25e15                                     = 112 us
//   pair     of a row and a row before it: 4 x 8,192 x 80 FLOP / 1.25e15 = 2.1 ns
//   weights  140 GB / 11.4 TB/s                                          = 12.3 ms
//   context  a row's keys and values: 2 x 8 x 128 x 2 B x 80 / 11.4 TB/s = 29 ns
#pragma once
#include <algorithm>
#include <cstdint>

namespace bessemer::sim {

struct Speed {
  double fixed_us = 2000;  // launch, sampling, the host
  double row_us = 112;
  double pair_ns = 2.1;
  double weights_us = 12'300;
  double context_ns = 29;
};

// What one step does.
struct StepWork {
  int64_t rows = 0;
  int64_t pairs = 0;    // over all rows: the rows that each attends to
  int64_t context = 0;  // rows whose keys and values are read, once for each sequence
};

inline double step_us(const Speed& speed, const StepWork& work) {
  const double computed = static_cast<double>(work.rows) * speed.row_us +
                          static_cast<double>(work.pairs) * speed.pair_ns * 1e-3;
  const double read =
      speed.weights_us + static_cast<double>(work.context) * speed.context_ns * 1e-3;
  return speed.fixed_us + std::max(computed, read);
}

}  // namespace bessemer::sim
