#include "router/routing/placement.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "router/routing/cost.h"

namespace bessemer {
namespace {

constexpr int32_t kRetryNoWorkerMs =
    1000;  // a restarted worker is usually back within a second or two
constexpr int64_t kLeastRetryMs = 1000;
constexpr int64_t kMostRetryMs = 120'000;  // official clients ignore more

// The estimate from which on the next best worker would have been the better choice.
uint32_t highest_estimate_us(const Choice& choice, const PlacementLimits& limits) {
  if (choice.seconds <= 0 || !std::isfinite(choice.next_seconds)) return 0;
  const double margin = std::max(std::chrono::duration<double>(limits.estimate_margin).count(),
                                 choice.ttft_seconds * limits.estimate_margin_share);
  const double ahead = std::max(choice.next_seconds - choice.seconds, 0.0);
  const double most = 1e6 * (choice.ttft_seconds + ahead + margin);
  return most < std::numeric_limits<uint32_t>::max() ? static_cast<uint32_t>(most) : 0;
}

// Until the worker's queue is no longer than the bound. Whoever has not been measured, nor anybody
// else, is not known to be slow.
Duration until_room(const Candidate& candidate, Duration max_queue) {
  if (candidate.reading.prefill_tok_s <= 0) return Duration::zero();
  const std::chrono::duration<double> queue(queue_seconds(candidate));
  if (queue <= max_queue) return Duration::zero();
  return std::chrono::duration_cast<Duration>(queue - max_queue);
}

}  // namespace

PlacementStep Placement::next(std::span<const Candidate> candidates, bool supported, TimePoint now,
                              Policy& policy, Random& random) {
  if (final_) return *final_;
  if (losses_ > limits_.max_losses) return PlaceRefused{RefusalKind::failed, last_detail_, 0};
  std::vector<Candidate> open;
  bool any_willing = false;
  for (const auto& candidate : candidates) {
    if (lost_.contains(candidate.worker)) continue;
    any_willing = true;
    if (!refused_.contains(candidate.worker)) open.push_back(candidate);
  }
  if (!open.empty() && bounces_ < limits_.max_bounces) {
    assume_speeds(open);
    const Choice choice = policy.choose(open, input_, random);
    const Candidate& chosen = open[choice.index];
    const Duration wait = until_room(chosen, limits_.max_queue);
    if (wait > Duration::zero() && losses_ == 0) {
      return wait_or_refuse(now, wait, "the queue is longer than max_queue_ms");
    }
    policy.sent(chosen, input_, open.size());
    return place_on(chosen, choice);
  }
  if (candidates.empty() && !supported) {
    return PlaceRefused{RefusalKind::unsupported,
                        "no worker of this model supports what the request asks for", 0};
  }
  if (any_willing) return wait_or_refuse(now, Duration::zero(), "every worker's queue is full");
  const std::string detail =
      last_detail_.empty() ? "no worker serves this model now" : last_detail_;
  return PlaceRefused{RefusalKind::no_worker, detail, kRetryNoWorkerMs};
}

PlaceOn Placement::place_on(const Candidate& candidate, const Choice& choice) {
  worker_ = candidate.worker;
  PlaceOn place;
  place.worker = worker_;
  place.epoch = epoch_++;
  place.must_queue = bounces_ >= limits_.queue_after_bounces;
  place.bounces = bounces_;
  place.max_est_ttft_us = highest_estimate_us(choice, limits_);
  place.choice = choice;
  place.matched_tokens = candidate.matched_tokens;
  return place;
}

// A wait that would end after max_wait is refused before it begins.
PlacementStep Placement::wait_or_refuse(TimePoint now, Duration until_room,
                                        const std::string& why) {
  const Duration wait = std::max<Duration>(
      {until_room, std::chrono::milliseconds(retry_after_ms_), limits_.wait_step});
  if (!waiting_since_) waiting_since_ = now;
  if (bounces_ >= limits_.max_bounces || now + wait - *waiting_since_ > limits_.max_wait) {
    const auto retry_ms = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
    return PlaceRefused{
        RefusalKind::overloaded, why,
        static_cast<int32_t>(std::clamp<int64_t>(retry_ms, kLeastRetryMs, kMostRetryMs))};
  }
  refused_.clear();
  return PlaceLater{wait};
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
    case v1::REJECT_UNSUPPORTED:
      final_ = PlaceRefused{RefusalKind::unsupported, detail, 0};
      break;
    case v1::REJECT_TOO_SLOW:
    case v1::REJECT_QUEUE_FULL:
      retry_after_ms_ = std::max(retry_after_ms_, retry_after_ms);
      break;
    default:  // draining, stale, wrong card: this worker will not, another may
      lost_.insert(worker_);
      break;
  }
}

void Placement::lost(const std::string& reason) {
  losses_++;
  lost_.insert(worker_);
  last_detail_ = reason;
}

}  // namespace bessemer
