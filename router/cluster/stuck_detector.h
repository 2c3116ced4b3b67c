// Tells a worker that hangs from one that is slow, busy or idle, by what it says of its engine: with
// each ping and each load report the steps that it has taken, and whether it has work.
//
// Invariants
//   D1  Silence is no word and proves nothing; the lease is for that.
//   D2  A worker is stuck once `kFewestWords` words, the first and the last at least its patience
//       apart and none between them saying otherwise, said: work, and the same number of steps.
//   D3  A step, or a word of no work, ends that at once. A worker that steps is never stuck, however
//       late a first token is.
//   D4  A word that is older than another one (fewer steps) changes nothing.
#pragma once
#include <cstdint>

#include "common/clock.h"

namespace bessemer {

class StuckDetector {
 public:
  struct Word {
    uint64_t steps = 0;
    bool work_pending = false;
    // What a step may take, as the worker last said; 0: it has not measured that yet.
    uint32_t step_us = 0;
    uint64_t backlog_tokens = 0;
    float prefill_tok_s = 0;
  };
  // Two words could be the last of one request and the first of another that came just now.
  static constexpr int kFewestWords = 3;

  explicit StuckDetector(Duration least_patience) : least_patience_(least_patience) {}
  // True when this changes the verdict.
  bool hear(const Word& word, TimePoint now);
  bool stuck() const { return stuck_; }
  // Another process speaks.
  void reset() { *this = StuckDetector(least_patience_); }

  // How long a worker may have work and take no step: 20 of its steps, or four times what one step
  // over its backlog would take at its own speed.
  static Duration patience(const Word& word, Duration least);

 private:
  Duration least_patience_;
  uint64_t steps_ = 0;
  int words_ = 0;  // of work and these steps, in a row
  TimePoint first_{};
  bool stuck_ = false;
};

}  // namespace bessemer
