// How many prompt rows a step may have: as many as make it last about as long as it may, beside
// streams (C1) and without (C5), learnt from the steps that have come back.
//
//   C1  A step with streams and prompt rows is to take no longer than the greater of
//       EngineOptions::stream_step and twice what a step with about as many streams takes without
//       prompts; it is aimed at 70 % of that. What one step measured bounds the next: a step may
//       exceed it where rows have just become dearer, by their place in a long context for instance.
//   C2  Never fewer than kLeastRows rows, however long those take: a prompt goes on however slow the
//       machine is, and at the speed of whole products, not of a row or two for each reading of the
//       weights.
//   C3  It decides when a row is computed, and never what comes out (E5).
//   C4  Streams and prompt rows together are a multiple of kWholeRows, as far as limits and prompts
//       allow: products take rows by sixteen where they have matrix tiles, by four elsewhere, and a
//       part of that costs as much as the whole.
//   C5  A step of prompts alone is to take no longer than kLoneStep: whoever is cancelled frees his
//       blocks behind it, and whoever arrives begins behind it. But never fewer than kLeastLoneRows
//       rows, below which products read their weights too often.
//
// A step's time is a + b * rows, with a the streams' own. The steps without prompts tell a, and
// every step with prompts tells b anew; where there is no a yet, the rows are scaled as if it were 0,
// which settles as well: the error shrinks by a / time with each step.
#pragma once
#include <array>
#include <cstdint>

#include "common/clock.h"

namespace bessemer {

class ChunkPace {
 public:
  static constexpr int32_t kWholeRows = 16, kLeastRows = 12, kLeastLoneRows = 128;
  static constexpr Duration kLoneStep = std::chrono::milliseconds(500);

  // step_time, of steps with streams, 0: no bound but `most_rows`.
  ChunkPace(Duration step_time, int32_t most_rows);

  // Prompt rows of the next step, which has so many streams.
  int32_t rows(int32_t streams) const;
  // A step with so many streams, choices that draw a token each, has taken `time`. Before there are
  // any, prompts alone tell how fast rows are.
  void measure(int32_t streams, int32_t prompt_rows, Duration time);

 private:
  int32_t lone_rows() const;
  // How many times as many rows a step of `us` might have had.
  double room(int32_t streams, double us) const;

  const double step_us_;
  const int32_t most_rows_;
  double rows_ = 0;                    // 0: nothing has been measured
  double lone_rows_ = kLeastLoneRows;  // of prompts alone
  // Mean time of a step without prompts, by the streams' number of binary digits; 0: none yet.
  std::array<double, 32> undisturbed_us_{};
};

}  // namespace bessemer
