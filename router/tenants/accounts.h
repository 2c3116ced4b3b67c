// What every tenant has been given lately by all workers together: the sum of what they report
// (State.WatchTenants), halved as their ledgers halve it.
#pragma once
#include <cstdint>
#include <functional>
#include <unordered_map>

#include "bessemer/v1/cluster.pb.h"
#include "common/clock.h"
#include "proto/tenant_given.h"

namespace bessemer {

// How fast what was given is forgotten where it decides who goes next: what a tenant was given while
// nobody was short must not be held against it for long. All routers forget alike, or each would serve
// another tenant.
constexpr Duration kShareHalfLife = std::chrono::seconds(5);

// One owner.
class TenantAccounts {
 public:
  using News = std::function<void(uint64_t tenant, const TenantGiven& more)>;

  // What `worker` says; `news` hears what each tenant was given since its last report. Of a worker
  // that is new, or has begun anew, nothing counts as given since.
  void apply(uint32_t worker, const v1::TenantReport& report, TimePoint now, const News& news);
  void drop(uint32_t worker, TimePoint now);
  TenantGiven given(uint64_t tenant, TimePoint now) const;
  // Of the news alone, halved each kShareHalfLife: TenantGiven::service.
  double service_lately(uint64_t tenant, TimePoint now) const;

 private:
  struct Reported {
    FadingSum sum;
    uint64_t mono_us = 0;  // of the worker, when it said so
  };
  struct Worker {
    uint64_t incarnation = 0;
    std::unordered_map<uint64_t, Reported> tenants;
  };
  struct Total {
    FadingSum given;
    FadingSum lately{.given = {}, .at = {}, .half_life = kShareHalfLife};
  };
  void take_out(const Worker& worker, TimePoint now);

  std::unordered_map<uint32_t, Worker> workers_;
  // Of all workers: the order of who waits asks for each tenant's at every turn.
  std::unordered_map<uint64_t, Total> totals_;
};

}  // namespace bessemer
