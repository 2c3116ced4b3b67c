#include "router/tenants/rate_limiter.h"

#include <algorithm>
#include <cmath>

namespace bessemer {
namespace {

using Minutes = std::chrono::duration<double, std::ratio<60>>;

Duration minutes(double count) {
  return std::chrono::duration_cast<Duration>(Minutes(count));
}

}  // namespace

void RateLimiter::Bucket::fill(double minutes) {
  left = std::min(left + limit * minutes, limit);
}
void RateLimiter::Bucket::take(double amount) {
  if (limit == 0) return;
  left = std::max(left - amount, lowest());
  unreported += amount;
}
void RateLimiter::Bucket::give_back(double amount) {
  left = std::min(left + amount, limit);
  unreported = std::max(unreported - amount, 0.0);
}
double RateLimiter::Bucket::lowest() const {
  return -limit * (kMostDebt / Minutes(1));
}
void RateLimiter::Bucket::report(double amount) {
  const double mine = std::min(amount, unreported);
  unreported -= mine;
  left = std::max(left - (amount - mine), lowest());
}
RateState RateLimiter::Bucket::state() const {
  if (limit == 0) return {};
  return {static_cast<int64_t>(limit), static_cast<int64_t>(std::max(std::floor(left), 0.0)),
          minutes((limit - left) / limit)};
}

RateLimiter::Account& RateLimiter::account_of(const Tenant& tenant, TimePoint now,
                                              const TenantGiven& lately) {
  const auto [at, is_new] = accounts_.try_emplace(tenant.id);
  Account& account = at->second;
  const auto set_limit = [&](Bucket& bucket, int64_t limit) {
    const double fresh = static_cast<double>(limit);
    if (bucket.limit == fresh) return;
    // A limit that was raised helps at once.
    if (bucket.limit == 0) bucket = {};
    bucket.left += fresh - bucket.limit;
    bucket.limit = fresh;
  };
  set_limit(account.requests, tenant.requests_per_minute);
  set_limit(account.tokens, tenant.tokens_per_minute);
  if (is_new) {
    account.requests.report(lately.requests);
    account.tokens.report(lately.tokens);
  } else {
    const double passed = Minutes(now - account.at).count();
    account.requests.fill(passed);
    account.tokens.fill(passed);
  }
  account.at = now;
  return account;
}

// Of tokens it is enough that some are left: a prompt longer than a minute's would never go through.
RateVerdict RateLimiter::take(const Tenant& tenant, int64_t prompt_tokens, TimePoint now,
                              const TenantGiven& lately) {
  if (!tenant.is_limited()) return {};
  Account& account = account_of(tenant, now, lately);
  Bucket& requests = account.requests;
  Bucket& tokens = account.tokens;
  const auto prompt = static_cast<double>(prompt_tokens);
  const double wanted = std::min(prompt, tokens.limit);
  RateVerdict verdict;
  if (requests.limit > 0 && requests.left < 1)
    verdict.wait = minutes((1 - requests.left) / requests.limit);
  if (tokens.limit > 0 && tokens.left < wanted) {
    const Duration wait = minutes((wanted - tokens.left) / tokens.limit);
    verdict.by_tokens = !verdict.wait || wait > *verdict.wait;
    verdict.wait = std::max(verdict.wait.value_or(wait), wait);
  }
  if (!verdict.wait) {
    requests.take(1);
    tokens.take(prompt);
  }
  verdict.states = {requests.state(), tokens.state()};
  return verdict;
}

void RateLimiter::cancel(const Tenant& tenant, int64_t prompt_tokens) {
  const auto at = accounts_.find(tenant.id);
  if (at == accounts_.end()) return;
  at->second.requests.give_back(1);
  at->second.tokens.give_back(static_cast<double>(prompt_tokens));
}

void RateLimiter::given(uint64_t tenant, const TenantGiven& more) {
  const auto at = accounts_.find(tenant);
  if (at == accounts_.end()) return;
  at->second.requests.report(more.requests);
  at->second.tokens.report(more.tokens);
}

}  // namespace bessemer
