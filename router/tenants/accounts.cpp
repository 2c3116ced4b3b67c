#include "router/tenants/accounts.h"

#include <algorithm>

namespace bessemer {
namespace {

constexpr double kNothing = 1e-6;  // tokens: what is left after long

// Rounding must not make a tenant's news negative.
TenantGiven between(const TenantGiven& before, const TenantGiven& now) {
  return {std::max(now.service - before.service, 0.0), std::max(now.tokens - before.tokens, 0.0),
          std::max(now.requests - before.requests, 0.0)};
}

}  // namespace

void TenantAccounts::apply(uint32_t worker, const v1::TenantReport& report, TimePoint now,
                           const News& news) {
  auto [at, is_new] = workers_.try_emplace(worker);
  Worker& known = at->second;
  if (known.incarnation != report.incarnation()) {
    take_out(known, now);
    known = {report.incarnation(), {}};
    is_new = true;
  }
  const int count = std::min(
      {report.tenant_size(), report.service_size(), report.tokens_size(), report.requests_size()});
  for (int i = 0; i < count; i++) {
    const uint64_t tenant = report.tenant(i);
    const TenantGiven fresh{report.service(i), report.tokens(i), report.requests(i)};
    Reported& last = known.tenants[tenant];
    Total& total = totals_[tenant];
    total.given.add(fresh, now);
    total.given.add(last.sum.now(now) * -1, now);
    // By the worker's own clock, since reports may be late.
    const auto since = std::chrono::microseconds(
        last.mono_us < report.mono_us() ? report.mono_us() - last.mono_us : 0);
    const bool is_known = last.mono_us != 0;
    if (!is_new || is_known) {
      const TenantGiven more = is_known ? between(last.sum.given * decay(since), fresh) : fresh;
      total.lately.add(more, now);
      news(tenant, more);
    }
    last.sum.given = fresh;
    last.sum.at = now;
    last.mono_us = report.mono_us();
  }
}

void TenantAccounts::drop(uint32_t worker, TimePoint now) {
  const auto at = workers_.find(worker);
  if (at == workers_.end()) return;
  take_out(at->second, now);
  workers_.erase(at);
  // With nobody left who could say more of them, tenants that were given nothing are forgotten.
  std::erase_if(totals_, [now](const auto& each) {
    const auto& [given, lately] = each.second;
    return given.now(now).service < kNothing && lately.now(now).service < kNothing;
  });
}

void TenantAccounts::take_out(const Worker& worker, TimePoint now) {
  for (const auto& [tenant, reported] : worker.tenants)
    totals_[tenant].given.add(reported.sum.now(now) * -1, now);
}

TenantGiven TenantAccounts::given(uint64_t tenant, TimePoint now) const {
  const auto total = totals_.find(tenant);
  return total == totals_.end() ? TenantGiven() : between({}, total->second.given.now(now));
}

double TenantAccounts::service_lately(uint64_t tenant, TimePoint now) const {
  const auto total = totals_.find(tenant);
  return total == totals_.end() ? 0 : total->second.lately.now(now).service;
}

}  // namespace bessemer
