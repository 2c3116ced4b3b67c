// One WatchTenants stream: when its next report is due, and what it says. Pure.
#pragma once
#include <cstdint>

#include "bessemer/v1/cluster.pb.h"
#include "common/clock.h"
#include "worker/service/tenant_ledger.h"

namespace bessemer {

constexpr int32_t kDefaultTenantIntervalMs = 200;
constexpr int32_t kLeastTenantIntervalMs = 100, kMostTenantIntervalMs = 60'000;

class TenantWatch {
 public:
  // interval_ms as the router asked; 0: the default.
  TenantWatch(const TenantLedger& ledger, uint64_t incarnation, uint32_t interval_ms);

  // The first report is due at once. False: it is not time yet, or nothing has changed.
  bool next(TimePoint now, v1::TenantReport& report);

 private:
  const TenantLedger& ledger_;
  const uint64_t incarnation_;
  const Duration interval_;
  TimePoint next_{};
  uint64_t version_ = 0;
  bool said_ = false, demand_said_ = false;
};

}  // namespace bessemer
