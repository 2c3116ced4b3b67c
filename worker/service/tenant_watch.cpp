#include "worker/service/tenant_watch.h"

#include <utility>

#include "worker/service/watch_interval.h"

namespace bessemer {
TenantWatch::TenantWatch(const TenantLedger& ledger, uint64_t incarnation, uint32_t interval_ms)
    : ledger_(ledger),
      incarnation_(incarnation),
      interval_(watch_interval(
          interval_ms, {kDefaultTenantIntervalMs, kLeastTenantIntervalMs, kMostTenantIntervalMs})) {
}

bool TenantWatch::next(TimePoint now, v1::TenantReport& report) {
  if (said_ && now < next_) return false;
  next_ = now + interval_;
  report.Clear();
  version_ = ledger_.report(version_, now, report);
  // That nothing waits any more is news once.
  const bool demand_news = report.has_demand() || demand_said_;
  demand_said_ = report.has_demand();
  if (std::exchange(said_, true) && report.tenant().empty() && !demand_news) return false;
  report.set_incarnation(incarnation_);
  report.set_mono_us(static_cast<uint64_t>(microseconds(now.time_since_epoch())));
  return true;
}

}  // namespace bessemer
