#include "worker/service/grants.h"

#include <algorithm>

namespace bessemer {
namespace {

// Never nothing while there is room: a prompt may be longer than any share.
uint64_t part_of(int64_t room, double share) {
  if (room <= 0) return 0;
  return static_cast<uint64_t>(std::max(1.0, static_cast<double>(room) * share));
}

bool is_low(uint64_t granted, uint64_t brought, uint64_t share) {
  const uint64_t left = granted - std::min(granted, brought);
  return share > 0 && left * 2 < share;
}

}  // namespace

// A tenth by the number of lanes alone, since what waits is known a moment late.
double lane_share(std::optional<double> of_router, size_t lanes, size_t all_lanes) {
  constexpr double kUnasked = 0.1;
  const double alike = 1.0 / static_cast<double>(std::max<size_t>(all_lanes, 1));
  if (!of_router) return alike;
  return kUnasked * alike +
         (1 - kUnasked) * *of_router / static_cast<double>(std::max<size_t>(lanes, 1));
}

GrantShare share_of_lane(const EngineStats& stats, double share, const GrantLimits& limits) {
  const int64_t target =
      stats.prefill_tokens_per_s > 0
          ? static_cast<int64_t>(stats.prefill_tokens_per_s * limits.queue_ms / 1000)
          : limits.first_tokens;
  return {part_of(std::max<int64_t>(target, 1) - stats.backlog_tokens, share),
          part_of(limits.max_waiting - stats.waiting, share)};
}

bool LaneGrant::renew(const GrantShare& share) {
  const GrantShare before = granted_;
  if (is_low(granted_.tokens, brought_.tokens, share.tokens))
    granted_.tokens = std::max(granted_.tokens, brought_.tokens + share.tokens);
  if (is_low(granted_.attempts, brought_.attempts, share.attempts))
    granted_.attempts = std::max(granted_.attempts, brought_.attempts + share.attempts);
  return granted_.tokens > before.tokens || granted_.attempts > before.attempts;
}

}  // namespace bessemer
