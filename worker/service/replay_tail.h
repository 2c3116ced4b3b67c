// What an attempt has said lately: as much of it as a router may not have heard when its lane was
// lost. One owner; no thread, no clock.
//
// Invariants
//   R1  Of each choice the newest tokens are kept, without a gap, up to next(choice).
//   R2  At most kTailTokens of a choice are kept for replay, fewer where they carry so many
//       logprobs that they would take more than kTailBytes; twice as much in memory, since the
//       oldest go in heaps.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "worker/engine/request.h"

namespace bessemer {

// What a router can have missed: a lane's loss is noticed within its lease (3 s), its orphans run on
// for 2 s more; at 200 tokens a second and choice that is 1,000.
constexpr size_t kTailTokens = 1024;
constexpr size_t kTailBytes = 64 << 10;
// An offset that says: nothing more of this choice is wanted, since its end was heard or it was
// cancelled.
constexpr uint32_t kEndHeard = UINT32_MAX;

class ReplayTail {
 public:
  ReplayTail() = default;
  // One choice for each offset, which is that of its first token. Unless `keeps`, nothing can be
  // replayed: only next() is known.
  ReplayTail(std::span<const int32_t> first_offsets, bool keeps);

  void note(const EngineEvent& event);

  // All that came after these offsets, as events of `attempt` in an order that the session allows.
  // nullopt: that much is not kept, or the offsets are of another attempt.
  std::optional<std::vector<EngineEvent>> since(std::span<const uint32_t> offsets,
                                                AttemptId attempt) const;
  size_t choices() const { return choices_.size(); }
  // Tokens that the choice has said, and that had been delivered before.
  int32_t next(size_t choice) const { return choices_[choice].next; }
  bool has_ended(size_t choice) const { return choices_[choice].end.has_value(); }
  // Its terminal event was noted.
  bool is_over() const { return terminal_.has_value(); }

 private:
  struct Choice {
    int32_t next = 0;
    std::vector<int32_t> ids;       // the last of them has offset next - 1
    std::vector<Logprob> logprobs;  // as many for each id
    std::optional<ChoiceEnd> end;
    size_t per_id() const { return ids.empty() ? 0 : logprobs.size() / ids.size(); }
    size_t most_kept() const;
  };
  void note_tokens(const Tokens& tokens);
  static void forget_oldest(Choice& choice);
  static void replay(int32_t index, const Choice& choice, uint32_t from, AttemptId attempt,
                     std::vector<EngineEvent>& events);

  bool keeps_ = false;
  std::vector<Choice> choices_;
  std::optional<EngineEvent> terminal_;
};

}  // namespace bessemer
