// How many prompt rows a step may take along while choices are streaming: as many as make it last
// about as long as it may (C1), learnt from the steps that have come back.
//
//   C1  A step with streams and prompt rows is to take no longer than the greater of
//       EngineOptions::stream_step and twice what a step with about as many streams takes without
//       prompts; it is aimed at 80 % of that. What one step measured bounds the next: a step may
//       exceed it where rows have just become dearer, by their place in a long context for instance.
//   C2  Never fewer than kLeastRows rows: a prompt goes on however slow the machine is.
//   C3  It decides when a row is computed, and never what comes out (E5).
//
// The rows are scaled by what the last step had over what it took, at most by two either way. As a
// step's time is a + b * rows, with a the streams' own, this settles where the step takes its time:
// the error shrinks by a / time with each step. No a or b has to be known, and neither is constant.
#pragma once
#include <array>
#include <cstdint>

#include "common/clock.h"

namespace bessemer {

class ChunkPace {
 public:
  static constexpr int32_t kLeastRows = 4;

  // step_time 0: no bound but `most_rows`.
  ChunkPace(Duration step_time, int32_t most_rows);

  // Prompt rows of the next step that has streams.
  int32_t rows() const;
  // A step with so many streams, choices that draw a token each, has taken `time`. Before there are
  // any, prompts alone tell how fast rows are.
  void measure(int32_t streams, int32_t prompt_rows, Duration time);

 private:
  double target_us(int32_t streams) const;
  void scale(double by);

  const double step_us_;
  const int32_t most_rows_;
  double rows_ = 0;  // 0: nothing has been measured
  // Mean time of a step without prompts, by the streams' number of binary digits; 0: none yet.
  std::array<double, 32> undisturbed_us_{};
};

}  // namespace bessemer
