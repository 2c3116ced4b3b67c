// In which order, and how many at a time, the streams that lost their worker go on elsewhere. What
// they bring is prompts to be computed again, all at once and often on workers that are busy.
//
// Invariants
//   RP1  Of those that wait, the one with the fewest tokens goes first; of equal ones the first that
//        came.
//   RP2  Those on their way (from going until they leave) have at most `budget` tokens together, or
//        are one alone: so each goes sooner or later, whatever its length.
//   RP3  Each one that entered is told to go once, unless it leaves before.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace bessemer {

class ResumePacer {
 public:
  using Ticket = uint64_t;  // 0: none

  Ticket enter(int64_t tokens) {
    waiting_.emplace(tokens, ++last_);
    return last_;
  }
  // It has its first output, is lost again, or is not wanted any more. Nothing for ticket 0.
  void leave(Ticket ticket);
  // Who may go now, in order.
  std::vector<Ticket> release(int64_t budget);

  bool anyone_waits() const { return !waiting_.empty(); }
  size_t waiting() const { return waiting_.size(); }
  int64_t tokens_on_their_way() const { return tokens_; }

 private:
  Ticket last_ = 0;
  std::set<std::pair<int64_t, Ticket>> waiting_;  // shortest first, then oldest
  std::map<Ticket, int64_t> going_;
  int64_t tokens_ = 0;  // of those in `going_`
};

}  // namespace bessemer
