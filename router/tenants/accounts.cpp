#include "router/tenants/accounts.h"

#include <algorithm>

namespace bessemer {
namespace {

TenantGiven scaled(const TenantGiven& given, double by) {
  return {given.service * by, given.tokens * by, given.requests * by};
}

// Rounding must not make a tenant's news negative.
TenantGiven more(const TenantGiven& now, const TenantGiven& before) {
  return {std::max(now.service - before.service, 0.0), std::max(now.tokens - before.tokens, 0.0),
          std::max(now.requests - before.requests, 0.0)};
}

}  // namespace

void TenantAccounts::apply(uint32_t worker, const v1::TenantReport& report, TimePoint now,
                           const News& news) {
  auto [at, is_new] = workers_.try_emplace(worker);
  if (is_new || at->second.incarnation != report.incarnation())
    at->second = {report.incarnation(), {}}, is_new = true;
  const int count = std::min(
      {report.tenant_size(), report.service_size(), report.tokens_size(), report.requests_size()});
  for (int i = 0; i < count; i++) {
    Sum& sum = at->second.tenants[report.tenant(i)];
    const TenantGiven fresh{report.service(i), report.tokens(i), report.requests(i)};
    // By the worker's own clock, since reports may be late.
    const auto since = std::chrono::microseconds(
        sum.mono_us < report.mono_us() ? report.mono_us() - sum.mono_us : 0);
    const bool is_known = sum.mono_us != 0;
    if (!is_new || is_known)
      news(report.tenant(i), is_known ? more(fresh, scaled(sum.given, decay(since))) : fresh);
    sum = {fresh, report.mono_us(), now};
  }
}

TenantGiven TenantAccounts::given(uint64_t tenant, TimePoint now) const {
  TenantGiven all;
  for (const auto& [id, worker] : workers_) {
    const auto sum = worker.tenants.find(tenant);
    if (sum == worker.tenants.end()) continue;
    const TenantGiven here = scaled(sum->second.given, decay(now - sum->second.at));
    all = {all.service + here.service, all.tokens + here.tokens, all.requests + here.requests};
  }
  return all;
}

}  // namespace bessemer
