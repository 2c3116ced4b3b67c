#include "worker/service/tenant_meter.h"

#include <map>
#include <utility>

namespace bessemer {

void TenantMeter::begin(const Request& request) {
  Attempt attempt;
  attempt.tenant = request.tenant;
  attempt.prompt = static_cast<int64_t>(request.prompt.size());
  attempt.is_charged = request.is_charged;
  std::lock_guard lock(mutex_);
  attempts_.emplace(static_cast<uint64_t>(request.id), attempt);
}

void TenantMeter::forget(AttemptId attempt) {
  std::lock_guard lock(mutex_);
  attempts_.erase(static_cast<uint64_t>(attempt));
}

TenantGiven TenantMeter::cost_of(const EngineEvent& event, Attempt& attempt) {
  if (const auto* admitted = std::get_if<Admitted>(&event.what)) {
    attempt.cached = admitted->matched_tokens;
    return {0, 0, attempt.is_charged ? 1.0 : 0.0};
  }
  const auto* tokens = std::get_if<Tokens>(&event.what);
  if (tokens == nullptr) return {};
  TenantGiven cost = cost_of_output(static_cast<int64_t>(tokens->ids.size()));
  if (std::exchange(attempt.prompt_due, false) && attempt.is_charged)
    cost += cost_of_prompt(attempt.prompt, attempt.cached);
  return cost;
}

void TenantMeter::charge(std::span<const EngineEvent> events, TimePoint now) {
  std::map<uint64_t, TenantGiven> costs;  // of this pass
  {
    std::lock_guard lock(mutex_);
    for (const EngineEvent& event : events) {
      const auto at = attempts_.find(static_cast<uint64_t>(event.attempt));
      if (at == attempts_.end()) continue;
      costs[at->second.tenant] += cost_of(event, at->second);
      if (is_terminal(event)) attempts_.erase(at);
    }
  }
  for (const auto& [tenant, cost] : costs) {
    if (cost.service != 0 || cost.requests != 0) ledger_.serve(tenant, cost, now);
  }
}

}  // namespace bessemer
