// What one prompt has lost with its workers: whom it stays away from, and whether it is suspected of
// having brought them down.
//
// Invariants
//   F1  A worker that has lost the prompt is asked again only as a last resort: `second_chance`
//       later, and twice as long after each further loss. One that will never take it is not asked
//       again. A worker that came back as another process is another worker.
//   F2  Only crashes raise a suspicion, and only while the worker computes the prompt or takes its
//       first steps (kFirstTokens); output beyond those clears it, and all else that is held
//       against the worker that gave it.
//   F3  A suspect of two crashes runs alone, once. Only a crash while it was alone proves it poison:
//       what was near a crash is not.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "common/clock.h"
#include "router/cluster/loss_cause.h"

namespace bessemer {

enum class Standing : uint8_t { open, last_resort, closed };

class LossRecord {
 public:
  // Tokens, in the mean of the choices, after which a crash is no longer laid to the prompt: each
  // kernel of a decode step has run by then.
  static constexpr int64_t kFirstTokens = 4;
  static constexpr int32_t kCrashesBeforeAlone = 2;

  LossRecord(Duration second_chance, int32_t choices)
      : second_chance_(second_chance), first_tokens_(kFirstTokens * choices) {}

  // It goes there now.
  void placed(uint32_t worker, uint64_t incarnation, bool alone);
  // Tokens were accepted from there.
  void progressed(int64_t tokens);
  // The worker it went to has lost it, or will never take it.
  void lost(LossCause cause, TimePoint now);
  void refused_for_good();

  Standing standing(uint32_t worker, uint64_t incarnation, TimePoint now) const;
  int32_t in_a_row() const { return in_a_row_; }  // losses without output
  bool suspect() const { return crashes_ >= kCrashesBeforeAlone && !poison_; }
  bool poison() const { return poison_; }

 private:
  struct Strike {
    uint32_t worker = 0;
    uint64_t incarnation = 0;
    int32_t count = 0;
    bool for_good = false;
    TimePoint last{};
  };
  static constexpr int32_t kMostDoublings = 8;  // minutes: longer than any resume waits
  Strike& strike();
  bool is_current(const Strike& one) const {
    return one.worker == worker_ && one.incarnation == incarnation_;
  }

  Duration second_chance_;
  int64_t first_tokens_;  // of all choices
  uint32_t worker_ = 0;
  uint64_t incarnation_ = 0;
  bool alone_ = false, poison_ = false;
  int64_t tokens_ = 0;  // from the worker it is on
  int32_t in_a_row_ = 0, crashes_ = 0;
  std::vector<Strike> strikes_;  // one a process; a handful
};

}  // namespace bessemer
