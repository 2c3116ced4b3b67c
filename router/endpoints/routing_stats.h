// What a core counts of its placements; see stats.h.
#pragma once
#include "router/endpoints/stats.h"
#include "router/routing/policy.h"

namespace bessemer {

inline constexpr std::array kDecisionBounds{0.000002, 0.000005, 0.00001, 0.00002, 0.00005, 0.0001,
                                            0.0002,   0.0005,   0.001,   0.002,   0.005,   0.01};

struct RoutingStats {
  std::array<Counter, kChoiceReasons> decisions;  // by ChoiceReason
  // Prompt tokens, at admission.
  Counter predicted_tokens;   // that the index said the chosen worker had
  Counter found_tokens;       // that it had
  Counter missed_tokens;      // predicted and not found
  Counter unforeseen_tokens;  // found and not predicted
  Counter recomputed_tokens;  // not found, though another worker had them
  Histogram decision{kDecisionBounds};
};

}  // namespace bessemer
