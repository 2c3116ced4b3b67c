#include "router/routing/placement.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "router/routing/cost.h"

namespace bessemer {
namespace {

constexpr int32_t kRetryNoWorkerMs =
    1000;  // a restarted worker is usually back within a second or two

constexpr const char* kNoneToTryAlone =
    "two workers crashed while they began it, and none is idle to try it alone";

// The estimate from which on the next best worker would have been the better choice.
uint32_t highest_estimate_us(const Choice& choice, const PlacementLimits& limits) {
  if (choice.seconds <= 0 || !std::isfinite(choice.next_seconds)) return 0;
  const double margin = std::max(std::chrono::duration<double>(limits.estimate_margin).count(),
                                 choice.ttft_seconds * limits.estimate_margin_share);
  const double ahead = std::max(choice.next_seconds - choice.seconds, 0.0);
  const double most = 1e6 * (choice.ttft_seconds + ahead + margin);
  return most < std::numeric_limits<uint32_t>::max() ? static_cast<uint32_t>(most) : 0;
}

}  // namespace

PlacementStep Placement::next(std::span<const Candidate> candidates, bool supported, TimePoint now,
                              Policy& policy, Random& random) {
  if (losses_.poison())
    return PlaceRefused{RefusalKind::poison, "it was alone on a worker that crashed", 0};
  if (final_) return *final_;
  if (losses_.in_a_row() > limits_.max_losses)
    return PlaceRefused{RefusalKind::failed, last_detail_, 0};
  Open open = find_open(candidates, now);
  if (!open.candidates.empty() && may_bounce()) {
    if (!has_room(open.candidates)) {
      refused_.clear();  // the line is another round: room may come where it was refused
      return PlaceLater{limits_.wait_step};
    }
    assume_speeds(open.candidates);
    const Choice choice = policy.choose(open.candidates, input_, random);
    policy.sent(open.candidates[choice.index], input_, open.candidates.size());
    return place_on(open.candidates[choice.index], choice);
  }
  if (resume_until_) return wait_to_resume(now);
  if (candidates.empty() && !supported) {
    return PlaceRefused{RefusalKind::unsupported,
                        "no worker of this model supports what the request asks for", 0};
  }
  if (open.later) return wait_or_refuse(now);
  if (unsupported_) return *unsupported_;
  const std::string detail =
      last_detail_.empty() ? "no worker serves this model now" : last_detail_;
  return PlaceRefused{RefusalKind::no_worker, detail, kRetryNoWorkerMs};
}

// While any worker has room, the one that costs least gets it, be its own room used up: its queue is
// part of its cost, and what it has of the prompt would be lost elsewhere. What is begun goes on.
bool Placement::has_room(std::span<const Candidate> open) const {
  return resume_until_ || std::ranges::any_of(open, &Candidate::has_room);
}

Placement::Open Placement::find_open(std::span<const Candidate> candidates, TimePoint now) const {
  Open open;
  std::vector<Candidate> last_resort;
  bool own_numerics = false;  // somebody of them would take it, now or later
  for (const auto& candidate : candidates) {
    const Standing standing = losses_.standing(candidate.worker, candidate.incarnation, now);
    const bool excluded = resume_until_ ? standing == Standing::closed : standing != Standing::open;
    if (excluded) continue;
    open.later = true;
    own_numerics = own_numerics || candidate.same_numerics;
    if (refused_.contains(candidate.worker)) continue;
    if (losses_.suspect() && candidate.sequences > 0) continue;
    (standing == Standing::open ? open.candidates : last_resort).push_back(candidate);
  }
  if (own_numerics || moves_) {
    const auto other = [](const Candidate& one) { return !one.same_numerics; };
    std::erase_if(open.candidates, other);
    std::erase_if(last_resort, other);
  }
  if (open.candidates.empty()) open.candidates = std::move(last_resort);
  return open;
}

PlaceOn Placement::place_on(const Candidate& candidate, const Choice& choice) {
  worker_ = candidate.worker;
  PlaceOn place;
  place.worker = worker_;
  place.epoch = epoch_++;
  place.must_queue = resume_until_ || bounces_ >= limits_.queue_after_bounces;
  place.bounces = bounces_;
  place.max_est_ttft_us = resume_until_ ? 0 : highest_estimate_us(choice, limits_);
  place.choice = choice;
  place.matched_tokens = candidate.matched_tokens;
  place.alone = losses_.suspect();
  losses_.placed(worker_, candidate.incarnation, place.alone);
  return place;
}

PlacementStep Placement::wait_or_refuse(TimePoint now) {
  const auto wait =
      std::max<Duration>(std::chrono::milliseconds(retry_after_ms_), limits_.wait_step);
  if (!waiting_since_) waiting_since_ = now;
  if (bounces_ >= limits_.max_bounces || now - *waiting_since_ >= limits_.max_wait) {
    const auto retry_ms = static_cast<int32_t>(microseconds(wait) / 1000);
    const char* why = losses_.suspect() ? kNoneToTryAlone : "every worker's queue is full";
    return PlaceRefused{RefusalKind::overloaded, why, std::max(retry_ms, 1000)};
  }
  refused_.clear();
  return PlaceLater{std::min<Duration>(wait, limits_.max_wait)};
}

PlacementStep Placement::wait_to_resume(TimePoint now) {
  if (now >= *resume_until_) {
    const char* why = losses_.suspect() ? kNoneToTryAlone : "no other worker took it in time";
    return PlaceRefused{RefusalKind::no_worker, why, kRetryNoWorkerMs};
  }
  refused_.clear();
  const Duration wait = std::chrono::milliseconds(std::exchange(retry_after_ms_, 0));
  return PlaceLater{std::clamp<Duration>(wait, limits_.resume_step, limits_.max_wait)};
}

void Placement::rejected(v1::RejectReason reason, const std::string& detail,
                         uint32_t retry_after_ms) {
  bounces_++;
  refused_.insert(worker_);
  last_detail_ = detail;
  switch (reason) {
    case v1::REJECT_TOO_LARGE:
    case v1::REJECT_BAD_INPUT:
      final_ = PlaceRefused{RefusalKind::impossible, detail, 0};
      break;
    case v1::REJECT_UNSUPPORTED:  // of this worker: versions may be mixed
      losses_.refused_for_good();
      unsupported_ = PlaceRefused{RefusalKind::unsupported, detail, 0};
      break;
    case v1::REJECT_TOO_SLOW:
    case v1::REJECT_QUEUE_FULL:
      retry_after_ms_ = std::max(retry_after_ms_, retry_after_ms);
      break;
    default:  // draining, stale, wrong card: this worker will not, another may
      losses_.refused_for_good();
      break;
  }
}

void Placement::lost(LossCause cause, const std::string& reason, TimePoint now) {
  losses_.lost(cause, now);
  last_detail_ = reason;
}

void Placement::resume(int64_t tokens, TimePoint now) {
  input_.prompt_tokens = tokens;
  resume_until_ = now + limits_.resume_wait;
  moves_ = false;
}

void Placement::move(int64_t tokens, TimePoint now) {
  resume(tokens, now);
  moves_ = true;
}

}  // namespace bessemer
