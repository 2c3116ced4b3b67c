#include "worker/service/tenant_ledger.h"

#include <algorithm>

namespace bessemer {
namespace {

// A token of output takes a step of its own, in which a prompt has many; a cached one takes next to
// nothing.
constexpr double kOutputService = 2.0, kCachedService = 0.1;

TenantService scaled(const TenantService& service, double by) {
  return {service.service * by, service.tokens * by, service.requests * by};
}

TenantService sum(const TenantService& a, const TenantService& b) {
  return {a.service + b.service, a.tokens + b.tokens, a.requests + b.requests};
}

}  // namespace

TenantService prompt_service(int64_t prompt_tokens, int64_t cached_tokens) {
  const auto cached = static_cast<double>(std::clamp<int64_t>(cached_tokens, 0, prompt_tokens));
  const auto all = static_cast<double>(prompt_tokens);
  return {all - cached + kCachedService * cached, all, 0};
}

TenantService output_service(int64_t tokens) {
  const auto count = static_cast<double>(tokens);
  return {kOutputService * count, count, 0};
}

void TenantLedger::serve(uint64_t tenant, const TenantService& service, TimePoint now) {
  std::lock_guard lock(mutex_);
  Account& account = account_of(tenant, now);
  account.given = sum(scaled(account.given, decay(now - account.at)), service);
  account.at = now;
  account.version = ++version_;
}

TenantLedger::Account& TenantLedger::account_of(uint64_t tenant, TimePoint now) {
  const auto found = accounts_.find(tenant);
  if (found != accounts_.end()) return found->second;
  if (accounts_.size() >= kMaxTenants && tenant != kOtherTenants) make_room(now);
  Account& fresh = accounts_[tenant];
  fresh.at = now;
  return fresh;
}

// L2. Rare: only names that were never heard among as many others come here.
void TenantLedger::make_room(TimePoint now) {
  auto least = accounts_.end();
  double given = 0;
  for (auto at = accounts_.begin(); at != accounts_.end(); ++at) {
    if (at->first == kOtherTenants) continue;
    const double here = at->second.given.service * decay(now - at->second.at);
    if (least != accounts_.end() && here >= given) continue;
    least = at;
    given = here;
  }
  if (least == accounts_.end()) return;
  const TenantService service = scaled(least->second.given, decay(now - least->second.at));
  accounts_.erase(least);
  Account& other = accounts_[kOtherTenants];
  other.given = sum(scaled(other.given, decay(now - other.at)), service);
  other.at = now;
  other.version = ++version_;
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
  std::erase_if(demand_, [now](const auto& each) { return each.second.until <= now; });
  demand_[router] = std::move(fresh);
}

std::map<uint64_t, TenantLedger::Waiting> TenantLedger::union_of_demand(TimePoint now) const {
  std::map<uint64_t, Waiting> all;
  for (const auto& [router, demand] : demand_) {
    if (demand.until <= now) continue;
    for (const auto& [tenant, waiting] : demand.tenants) {
      Waiting& together = all[tenant];
      together.tokens += waiting.tokens;
      together.promised += waiting.promised;
      together.weight = std::max(together.weight, waiting.weight);
    }
  }
  return all;
}

std::optional<double> TenantLedger::share_of(uint64_t router, TimePoint now) const {
  std::lock_guard lock(mutex_);
  const auto all = union_of_demand(now);
  double weights = 0;
  for (const auto& [tenant, waiting] : all) weights += waiting.tokens > 0 ? waiting.weight : 0;
  if (weights == 0) return std::nullopt;
  const auto mine = demand_.find(router);
  if (mine == demand_.end() || mine->second.until <= now) return 0;
  double share = 0;
  for (const auto& [tenant, waiting] : mine->second.tenants) {
    if (waiting.tokens == 0) continue;
    const Waiting& together = all.at(tenant);
    share += together.weight / weights * static_cast<double>(waiting.tokens) /
             static_cast<double>(together.tokens);
  }
  return share;
}

uint64_t TenantLedger::report(uint64_t version, TimePoint now, v1::TenantReport& report) const {
  std::lock_guard lock(mutex_);
  for (const auto& [tenant, account] : accounts_) {
    if (account.version <= version) continue;
    const TenantService given = scaled(account.given, decay(now - account.at));
    report.add_tenant(tenant);
    report.add_service(given.service);
    report.add_tokens(given.tokens);
    report.add_requests(given.requests);
  }
  for (const auto& [tenant, waiting] : union_of_demand(now)) {
    v1::Demand& demand = *report.mutable_demand();
    demand.add_tenant(tenant);
    demand.add_waiting_tokens(waiting.tokens);
    demand.add_promised_tokens(waiting.promised);
    demand.add_weight(waiting.weight);
  }
  return version_;
}

}  // namespace bessemer
