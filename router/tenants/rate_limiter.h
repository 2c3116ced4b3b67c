// Requests and tokens a minute, of each tenant over all routers together: a bucket that fills by the
// minute's limit and is emptied by what the workers say they gave, whoever sent it. What this router
// has sent and no report has said yet is taken out at once.
//
// So the overshoot of n routers is what the other n - 1 send within one report (200 ms), and the
// output that is generated meanwhile: with 10 routers, 3 % of the limit of a minute.
//
// Invariants
//   B1  A bucket holds one minute at most, and is never so empty that it would take more than
//       kMostDebt to fill.
//   B2  What a request took and never used is given back (cancel).
#pragma once
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "common/clock.h"
#include "router/tenants/accounts.h"
#include "router/tenants/tenant.h"

namespace bessemer {

constexpr auto kMostDebt = std::chrono::minutes(1);

// Of one of the two limits; limit 0: there is none.
struct RateState {
  int64_t limit = 0, left = 0;
  Duration full_in{};  // until the bucket is full again
};
struct RateStates {
  RateState requests, tokens;
};
struct RateVerdict {
  RateStates states;
  // Refused: until there is room again, and by which limit.
  std::optional<Duration> wait;
  bool by_tokens = false;
};

// One owner.
class RateLimiter {
 public:
  // A request with a prompt of so many tokens; takes them unless it is refused. `lately`: what the
  // tenant was given by what is known of it, for a bucket that begins.
  RateVerdict take(const Tenant& tenant, int64_t prompt_tokens, TimePoint now,
                   const TenantGiven& lately = {});
  // It was never given to a worker.
  void cancel(const Tenant& tenant, int64_t prompt_tokens);
  // What workers say that the tenant was given.
  void given(uint64_t tenant, const TenantGiven& more);

 private:
  struct Bucket {
    double limit = 0;  // a minute; 0: none
    double left = 0;
    double unreported = 0;  // taken here, and in no report yet

    void fill(double minutes);
    void take(double amount);
    void give_back(double amount);
    void report(double amount);
    RateState state() const;
    double lowest() const;
  };
  struct Account {
    Bucket requests, tokens;
    TimePoint at{};
  };
  Account& account_of(const Tenant& tenant, TimePoint now, const TenantGiven& lately);

  std::unordered_map<uint64_t, Account> accounts_;  // of tenants with a limit
};

}  // namespace bessemer
