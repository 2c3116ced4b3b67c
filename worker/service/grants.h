// How much prompt each lane may bring, so that the worker's queue stays short and what is beyond it
// waits in the routers, where it can still be cancelled or placed elsewhere. Pure.
//
// A lane may always have what is its share of the room in the queue: it is told anew as it brings
// some. What was told cannot be taken back, so with all lanes bringing theirs at once the queue has
// what the engine had when it was told, and a prompt a lane more: twice the target at most, and
// those prompts.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "worker/engine/engine.h"

namespace bessemer {

// How often a lane looks whether it may be granted more: a twentieth of what a grant lasts.
constexpr auto kGrantInterval = std::chrono::milliseconds(10);

struct GrantLimits {
  // Prompt tokens in the queue, in milliseconds of prefill: enough that the engine never waits for
  // a router's next one (a round trip and a router's pass: a few ms), and short beside what a client
  // notices.
  int32_t queue_ms = 200;
  // While the worker has measured no prefill yet.
  int64_t first_tokens = 2048;
  int32_t max_waiting = 256;  // EngineOptions'
};

struct GrantShare {
  uint64_t tokens = 0, attempts = 0;
};

// A lane's share of the room, in 0 to 1. `of_router`: its router's share of what waits, by
// TenantLedger::share_of; of that router's `lanes` each has the same.
double lane_share(std::optional<double> of_router, size_t lanes, size_t all_lanes);

// What a lane may bring now, beyond what it has brought; `share`: of the room, in 0 to 1.
GrantShare share_of_lane(const EngineStats& stats, double share, const GrantLimits& limits);

// What one lane has been told and has brought since Hello.
class LaneGrant {
 public:
  void bring(uint64_t tokens) {
    brought_.tokens += tokens;
    ++brought_.attempts;
  }
  // True: granted() has risen, and the router should hear of it. It does once it has less than half
  // of its share left.
  bool renew(const GrantShare& share);
  const GrantShare& granted() const { return granted_; }

 private:
  GrantShare brought_, granted_;
};

}  // namespace bessemer
