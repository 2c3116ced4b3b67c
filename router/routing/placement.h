// Where one request goes, and where it goes next after a refusal or a loss: a state machine without
// I/O or clock.
//
// Invariants
//   P1  A worker that refused is not asked again in the same round; a worker that lost the request
//       not at all.
//   P2  Every round ends: with a worker, with a wait, or with a refusal. Rounds, losses and the
//       time waited are bounded.
//   P3  No prompt is sent behind a queue longer than max_queue, by that worker's own speed, but one
//       that a worker had taken and lost.
//   P4  The epoch rises with every attempt, so that a worker can refuse a stale one.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "bessemer/v1/engine.pb.h"
#include "common/clock.h"
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
  int32_t max_losses = 2;  // attempts lost with their worker before a token was delivered
  Duration wait_step = std::chrono::milliseconds(100);
  Duration max_wait = std::chrono::seconds(5);  // in the router, while every queue is full
  // Of a worker's queue, in time: its own bound counts requests, whatever their length. Official
  // clients heed a Retry-After of up to two minutes, and wait five times as long for an answer.
  Duration max_queue = std::chrono::minutes(2);
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
};
// There is no room now: ask again after `delay`.
struct PlaceLater {
  Duration delay{};
};
enum class RefusalKind : uint8_t { no_worker, overloaded, unsupported, impossible, failed };
struct PlaceRefused {
  RefusalKind kind = RefusalKind::no_worker;
  std::string detail;
  int32_t retry_after_ms = 0;
};
using PlacementStep = std::variant<PlaceOn, PlaceLater, PlaceRefused>;

class Placement {
 public:
  Placement(const PlacementInput& input, const PlacementLimits& limits)
      : input_(input), limits_(limits) {}

  // `candidates`: ready workers of the request's card that have the features it needs. `supported`:
  // false when workers are ready but none has the features.
  PlacementStep next(std::span<const Candidate> candidates, bool supported, TimePoint now,
                     Policy& policy, Random& random);
  bool is_first() const { return epoch_ == 0; }  // nobody has been asked yet
  // The worker of the last PlaceOn did not take it, or lost it before any output.
  void rejected(v1::RejectReason reason, const std::string& detail, uint32_t retry_after_ms);
  void lost(const std::string& reason);

 private:
  PlaceOn place_on(const Candidate& candidate, const Choice& choice);
  // `until_room`: how long at least.
  PlacementStep wait_or_refuse(TimePoint now, Duration until_room, const std::string& why);

  const PlacementInput input_;
  const PlacementLimits limits_;
  uint32_t worker_ = 0, epoch_ = 0;
  int32_t bounces_ = 0, losses_ = 0;
  std::set<uint32_t> refused_, lost_;  // this round; for good
  std::optional<PlaceRefused> final_;  // no other worker would answer differently
  std::string last_detail_;
  uint32_t retry_after_ms_ = 0;
  std::optional<TimePoint> waiting_since_;
};

}  // namespace bessemer
