#include "router/routing/placement.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "router/routing/cost.h"

namespace bessemer {
namespace {

constexpr int32_t kRetryNoWorkerMs =
    1000;  // a restarted worker is usually back within a second or two

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
    return place_on(open[choice.index], choice);
  }
  if (candidates.empty() && !supported) {
    return PlaceRefused{RefusalKind::unsupported,
                        "no worker of this model supports what the request asks for", 0};
  }
  if (any_willing) return wait_or_refuse(now);
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

PlacementStep Placement::wait_or_refuse(TimePoint now) {
  const auto wait =
      std::max<Duration>(std::chrono::milliseconds(retry_after_ms_), limits_.wait_step);
  if (!waiting_since_) waiting_since_ = now;
  if (bounces_ >= limits_.max_bounces || now - *waiting_since_ >= limits_.max_wait) {
    const auto retry_ms = static_cast<int32_t>(microseconds(wait) / 1000);
    return PlaceRefused{RefusalKind::overloaded, "every worker's queue is full",
                        std::max(retry_ms, 1000)};
  }
  refused_.clear();
  return PlaceLater{std::min<Duration>(wait, limits_.max_wait)};
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
