// What each tenant has been given here lately, and what waits for it in the routers: from this all
// routers together order their queues, and a worker shares out its room between them. Nobody else
// keeps such a sum, so every router sees the same one.
//
// Invariants
//   L1  What a tenant was given halves every kServiceHalfLife.
//   L2  At most kMaxTenants are kept apart. Beyond that he who was given least is counted under
//       kOtherTenants, together with all who have no name.
//   L3  What a router has not repeated for kDemandLife waits no more.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>

#include "bessemer/v1/cluster.pb.h"
#include "common/clock.h"
#include "proto/tenant_given.h"

namespace bessemer {

constexpr auto kDemandLife = std::chrono::seconds(2);
constexpr size_t kMaxTenants = 1000;
constexpr uint64_t kOtherTenants = 0;

// What a prompt costs once it is computed, and `tokens` more of output.
TenantGiven cost_of_prompt(int64_t prompt_tokens, int64_t cached_tokens);
TenantGiven cost_of_output(int64_t tokens);

// Thread-safe.
class TenantLedger {
 public:
  void serve(uint64_t tenant, const TenantGiven& cost, TimePoint now);
  // What waits in the router of that incarnation; what it said before is void.
  void set_demand(uint64_t router, const v1::Demand& demand, TimePoint now);
  // The share of the worker's room that is this router's: of what waits, by the tenants' weights.
  // nullopt: nothing waits anywhere.
  std::optional<double> share_of(uint64_t router, TimePoint now) const;
  // Tenants that changed after `version`, as they are at `now`; returns the version for the next
  // call. 0: all of them.
  uint64_t report(uint64_t version, TimePoint now, v1::TenantReport& report) const;

 private:
  struct Account {
    FadingSum sum;
    uint64_t version = 0;
  };
  struct Waiting {
    uint64_t tokens = 0, promised = 0;
    uint32_t weight = 1;
  };
  struct RouterDemand {
    TimePoint until{};
    std::map<uint64_t, Waiting> tenants;
  };
  void charge(uint64_t tenant, const TenantGiven& cost, TimePoint now);
  void make_room(TimePoint now);
  void unite(TimePoint now) const;

  mutable std::mutex mutex_;
  uint64_t version_ = 0;
  std::unordered_map<uint64_t, Account> accounts_;
  // Grants ask for shares at every turn of the engine, so what follows from the demand is kept until
  // it changes or some of it is over.
  mutable std::unordered_map<uint64_t, RouterDemand> demand_;  // by router
  mutable std::map<uint64_t, Waiting> together_;               // of all routers, by tenant
  mutable std::unordered_map<uint64_t, double> shares_;        // by router
  mutable TimePoint united_until_ = TimePoint::max();
};

}  // namespace bessemer
