// Where one request goes, and where it goes next after a refusal or a loss: a state machine without
// I/O or clock.
//
// Invariants
//   P1  A worker that refused is not asked again in the same round; of one that lost the request,
//       see loss_record.h. A request without output is not placed on such a worker at all.
//   P2  Every round ends: with a worker, with a wait, or with a refusal. Rounds, losses without
//       output between them and the time waited are bounded.
//   P3  The epoch rises with every attempt, so that a worker can refuse a stale one.
//   P4  A resumed request waits for a worker, whatever there is or is not, until `resume_wait` after
//       its loss; a full queue, a bounce or an empty cluster does not end it before.
//   P5  It goes to a worker of other numerics only where none of its own is left; one that moves
//       while its worker still runs it never does.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "bessemer/v1/engine.pb.h"
#include "common/clock.h"
#include "router/routing/loss_record.h"
#include "router/routing/policy.h"

namespace bessemer {

struct PlacementLimits {
  int32_t queue_after_bounces =
      2;  // from then on `must_queue`: the worker's estimate is not heeded, its bounds are
  // Two-phase admission: the worker may expect this much more than the router did before it is
  // asked to refuse, beyond what the next best costs more. Loads are a report interval old.
  Duration estimate_margin = std::chrono::milliseconds(100);
  double estimate_margin_share = 0.25;  // or this share of the expected, if that is more
  int32_t max_bounces = 16;             // refusals of one request, all rounds together
  int32_t max_losses = 16;              // attempts lost in a row, without output between them
  Duration second_chance = std::chrono::seconds(2);  // LossRecord: hangs and resets last shorter
  Duration wait_step = std::chrono::milliseconds(100);
  Duration max_wait = std::chrono::seconds(5);  // in the router, while every queue is full
  Duration resume_step = std::chrono::milliseconds(50);
  // A restart takes seconds, loading a large model most of a minute.
  Duration resume_wait = std::chrono::seconds(60);
};

// Send it there.
struct PlaceOn {
  uint32_t worker = 0;
  uint32_t epoch = 0;
  bool must_queue = false;
  int32_t bounces = 0;
  uint32_t max_est_ttft_us = 0;  // the worker refuses when it expects more; 0: no limit
  Choice choice;                 // its index is of no use here
  int64_t matched_tokens = 0;    // what the chosen one is believed to have of the prompt
  bool alone = false;            // nothing else may be placed there beside it
};
// All who could serve are full, or nobody is there: ask again after `delay`.
struct PlaceLater {
  Duration delay{};
};
enum class RefusalKind : uint8_t { no_worker, overloaded, unsupported, impossible, failed, poison };
struct PlaceRefused {
  RefusalKind kind = RefusalKind::no_worker;
  std::string detail;
  int32_t retry_after_ms = 0;
};
using PlacementStep = std::variant<PlaceOn, PlaceLater, PlaceRefused>;

class Placement {
 public:
  Placement(const PlacementInput& input, const PlacementLimits& limits)
      : input_(input), limits_(limits), losses_(limits.second_chance, input.choices) {}

  // `candidates`: ready workers of the request's card that have the features it needs. `supported`:
  // false when workers are ready but none has the features.
  PlacementStep next(std::span<const Candidate> candidates, bool supported, TimePoint now,
                     Policy& policy, Random& random);
  bool is_first() const { return epoch_ == 0; }  // nobody has been asked yet
  // The worker of the last PlaceOn did not take it, gave output, or lost it.
  void rejected(v1::RejectReason reason, const std::string& detail, uint32_t retry_after_ms);
  void progressed(int64_t tokens) { losses_.progressed(tokens); }
  bool suspect() const { return losses_.suspect(); }
  void lost(LossCause cause, const std::string& reason, TimePoint now);
  // Behind lost(): it goes on with `tokens` of prompt and output, or begins anew.
  void resume(int64_t tokens, TimePoint now);
  // Likewise, without a loss: to go on elsewhere while its worker writes the same.
  void move(int64_t tokens, TimePoint now);
  void restart() {
    resume_until_.reset();
    moves_ = false;
  }
  // P3 where `other`, made from this one, has placed meanwhile.
  void skip_epochs(const Placement& other) { epoch_ = std::max(epoch_, other.epoch_); }

 private:
  // Who may be asked now, and whether anybody would be in a later round.
  struct Open {
    std::vector<Candidate> candidates;
    bool later = false;
  };
  Open find_open(std::span<const Candidate> candidates, TimePoint now) const;
  bool has_room(std::span<const Candidate> open) const;
  PlaceOn place_on(const Candidate& candidate, const Choice& choice);
  PlacementStep wait_or_refuse(TimePoint now);
  PlacementStep wait_to_resume(TimePoint now);
  bool may_bounce() const { return resume_until_ || bounces_ < limits_.max_bounces; }

  PlacementInput input_;
  const PlacementLimits limits_;
  uint32_t worker_ = 0, epoch_ = 0;
  int32_t bounces_ = 0;
  std::set<uint32_t> refused_;  // this round
  LossRecord losses_;
  std::optional<TimePoint> resume_until_;
  bool moves_ = false;
  std::optional<PlaceRefused> final_;        // no other worker would answer differently
  std::optional<PlaceRefused> unsupported_;  // by one; others may do better
  std::string last_detail_;
  uint32_t retry_after_ms_ = 0;
  std::optional<TimePoint> waiting_since_;
};

}  // namespace bessemer
