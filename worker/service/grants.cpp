#include "worker/service/grants.h"

#include <algorithm>

namespace bessemer {
namespace {

// Never nothing while there is room: a prompt may be longer than any share.
uint64_t share(int64_t room, size_t lanes) {
  if (room <= 0) return 0;
  return std::max<uint64_t>(1, static_cast<uint64_t>(room) / std::max<size_t>(lanes, 1));
}

bool is_low(uint64_t granted, uint64_t brought, uint64_t share) {
  const uint64_t left = granted - std::min(granted, brought);
  return share > 0 && left * 2 < share;
}

}  // namespace

GrantShare share_of_lane(const EngineStats& stats, size_t lanes, const GrantLimits& limits) {
  const int64_t target =
      stats.prefill_tokens_per_s > 0
          ? static_cast<int64_t>(stats.prefill_tokens_per_s * limits.queue_ms / 1000)
          : limits.first_tokens;
  return {share(std::max<int64_t>(target, 1) - stats.backlog_tokens, lanes),
          share(limits.max_waiting - stats.waiting, lanes)};
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
