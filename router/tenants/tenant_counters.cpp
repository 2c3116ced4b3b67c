#include "router/tenants/tenant_counters.h"

namespace bessemer {
namespace {

uint64_t& outcome_of(TenantTotals& totals, int status) {
  if (status < 400) return totals.answered;
  if (status == 429) return totals.refused;
  if (status == 499) return totals.cancelled;
  return status < 500 ? totals.invalid : totals.failed;
}

}  // namespace

void TenantCounters::count(const std::string& tenant, int status, int64_t prompt_tokens,
                           int64_t cached_tokens, int64_t generated_tokens) {
  std::lock_guard lock(mutex_);
  const bool has_name = totals_.size() < kMostNames || totals_.contains(tenant);
  TenantTotals& totals = totals_[has_name ? tenant : kOther];
  ++outcome_of(totals, status);
  totals.prompt_tokens += static_cast<uint64_t>(prompt_tokens);
  totals.cached_tokens += static_cast<uint64_t>(cached_tokens);
  totals.generated_tokens += static_cast<uint64_t>(generated_tokens);
}

std::map<std::string, TenantTotals> TenantCounters::totals() const {
  std::lock_guard lock(mutex_);
  return totals_;
}

}  // namespace bessemer
