#include "worker/service/tenant_ledger.h"

#include <algorithm>

namespace bessemer {
namespace {

// A token of output takes a step of its own, in which a prompt has many; a cached one takes next to
// nothing.
constexpr double kOutputService = 2.0, kCachedService = 0.1;

}  // namespace

TenantGiven cost_of_prompt(int64_t prompt_tokens, int64_t cached_tokens) {
  const auto cached = static_cast<double>(std::clamp<int64_t>(cached_tokens, 0, prompt_tokens));
  const auto all = static_cast<double>(prompt_tokens);
  return {all - cached + kCachedService * cached, all, 0};
}

TenantGiven cost_of_output(int64_t tokens) {
  const auto count = static_cast<double>(tokens);
  return {kOutputService * count, count, 0};
}

void TenantLedger::serve(uint64_t tenant, const TenantGiven& cost, TimePoint now) {
  std::lock_guard lock(mutex_);
  const bool is_new = tenant != kOtherTenants && !accounts_.contains(tenant);
  if (is_new && accounts_.size() >= kMaxTenants) make_room(now);
  charge(tenant, cost, now);
}

void TenantLedger::charge(uint64_t tenant, const TenantGiven& cost, TimePoint now) {
  Account& account = accounts_[tenant];
  account.sum.add(cost, now);
  account.version = ++version_;
}

// L2. Rare: only names that were never heard among as many others come here.
void TenantLedger::make_room(TimePoint now) {
  auto least = accounts_.end();
  double given = 0;
  for (auto at = accounts_.begin(); at != accounts_.end(); ++at) {
    if (at->first == kOtherTenants) continue;
    const double here = at->second.sum.now(now).service;
    if (least != accounts_.end() && here >= given) continue;
    least = at;
    given = here;
  }
  if (least == accounts_.end()) return;
  const TenantGiven moved = least->second.sum.now(now);
  accounts_.erase(least);
  charge(kOtherTenants, moved, now);
}

void TenantLedger::set_demand(uint64_t router, const v1::Demand& demand, TimePoint now) {
  RouterDemand fresh;
  fresh.until = now + kDemandLife;
  const int count = std::min<int>(demand.tenant_size(), int{kMaxTenants});
  for (int i = 0; i < count; ++i) {
    Waiting& waiting = fresh.tenants[demand.tenant(i)];
    if (i < demand.waiting_tokens_size()) waiting.tokens += demand.waiting_tokens(i);
    if (i < demand.promised_tokens_size()) waiting.promised += demand.promised_tokens(i);
    if (i < demand.weight_size()) waiting.weight = std::max<uint32_t>(demand.weight(i), 1);
  }
  std::lock_guard lock(mutex_);
  demand_[router] = std::move(fresh);
  unite(now);
}

void TenantLedger::unite(TimePoint now) const {
  std::erase_if(demand_, [now](const auto& each) { return each.second.until <= now; });
  together_.clear();
  shares_.clear();
  united_until_ = TimePoint::max();
  for (const auto& [router, demand] : demand_) {
    united_until_ = std::min(united_until_, demand.until);
    for (const auto& [tenant, waiting] : demand.tenants) {
      Waiting& together = together_[tenant];
      together.tokens += waiting.tokens;
      together.promised += waiting.promised;
      together.weight = std::max(together.weight, waiting.weight);
    }
  }
  double weights = 0;
  for (const auto& [tenant, waiting] : together_)
    weights += waiting.tokens > 0 ? waiting.weight : 0;
  for (const auto& [router, demand] : demand_) {
    for (const auto& [tenant, waiting] : demand.tenants) {
      if (waiting.tokens == 0) continue;
      const Waiting& together = together_.at(tenant);
      shares_[router] += together.weight / weights * static_cast<double>(waiting.tokens) /
                         static_cast<double>(together.tokens);
    }
  }
}

std::optional<double> TenantLedger::share_of(uint64_t router, TimePoint now) const {
  std::lock_guard lock(mutex_);
  if (united_until_ <= now) unite(now);
  if (shares_.empty()) return std::nullopt;
  const auto mine = shares_.find(router);
  return mine == shares_.end() ? 0 : mine->second;
}

uint64_t TenantLedger::report(uint64_t version, TimePoint now, v1::TenantReport& report) const {
  std::lock_guard lock(mutex_);
  if (united_until_ <= now) unite(now);
  for (const auto& [tenant, account] : accounts_) {
    if (account.version <= version) continue;
    const TenantGiven given = account.sum.now(now);
    report.add_tenant(tenant);
    report.add_service(given.service);
    report.add_tokens(given.tokens);
    report.add_requests(given.requests);
  }
  for (const auto& [tenant, waiting] : together_) {
    v1::Demand& demand = *report.mutable_demand();
    demand.add_tenant(tenant);
    demand.add_waiting_tokens(waiting.tokens);
    demand.add_promised_tokens(waiting.promised);
    demand.add_weight(waiting.weight);
  }
  return version_;
}

}  // namespace bessemer
