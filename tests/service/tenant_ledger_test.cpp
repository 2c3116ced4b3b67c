#include "worker/service/tenant_ledger.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "worker/service/tenant_meter.h"
#include "worker/service/tenant_watch.h"

namespace bessemer::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class TenantLedgerTest : public ::testing::Test {
 protected:
  double service_of(uint64_t tenant) {
    v1::TenantReport report;
    ledger_.report(0, now_, report);
    for (int i = 0; i < report.tenant_size(); ++i) {
      if (report.tenant(i) == tenant) return report.service(i);
    }
    return -1;
  }
  void demand(uint64_t router, std::vector<std::tuple<uint64_t, uint64_t, uint32_t>> waiting) {
    v1::Demand demand;
    for (const auto& [tenant, tokens, weight] : waiting) {
      demand.add_tenant(tenant);
      demand.add_waiting_tokens(tokens);
      demand.add_weight(weight);
    }
    ledger_.set_demand(router, demand, now_);
  }
  TenantLedger ledger_;
  TimePoint now_{};
};

TEST_F(TenantLedgerTest, WhatWasGivenHalvesEachHalfLife) {
  ledger_.serve(7, {1000, 500, 4}, now_);
  EXPECT_DOUBLE_EQ(service_of(7), 1000);
  now_ += kServiceHalfLife;
  EXPECT_DOUBLE_EQ(service_of(7), 500);
  ledger_.serve(7, {100, 0, 0}, now_);
  EXPECT_DOUBLE_EQ(service_of(7), 600);
  now_ += 2 * kServiceHalfLife;
  EXPECT_DOUBLE_EQ(service_of(7), 150);
  EXPECT_EQ(service_of(8), -1);
}

TEST_F(TenantLedgerTest, ReportsSayOnlyWhatChanged) {
  ledger_.serve(1, {10, 0, 0}, now_);
  ledger_.serve(2, {20, 0, 0}, now_);
  v1::TenantReport first, second, third;
  const uint64_t version = ledger_.report(0, now_, first);
  EXPECT_EQ(first.tenant_size(), 2);
  EXPECT_EQ(ledger_.report(version, now_, second), version);
  EXPECT_EQ(second.tenant_size(), 0);
  ledger_.serve(2, {5, 0, 0}, now_);
  ledger_.report(version, now_, third);
  ASSERT_EQ(third.tenant_size(), 1);
  EXPECT_EQ(third.tenant(0), 2u);
  EXPECT_DOUBLE_EQ(third.service(0), 25);
}

TEST_F(TenantLedgerTest, BeyondItsBoundWhoWasGivenLeastIsOneOfTheOthers) {
  for (uint64_t tenant = 1; tenant <= kMaxTenants; ++tenant)
    ledger_.serve(tenant, {static_cast<double>(tenant), 0, 0}, now_);
  ledger_.serve(5000, {1, 0, 0}, now_);
  EXPECT_EQ(service_of(1), -1);
  EXPECT_DOUBLE_EQ(service_of(kOtherTenants), 1);
  EXPECT_DOUBLE_EQ(service_of(2), 2);
  for (uint64_t tenant = 6000; tenant < 9000; ++tenant) ledger_.serve(tenant, {1, 0, 0}, now_);
  v1::TenantReport report;
  ledger_.report(0, now_, report);
  EXPECT_LE(report.tenant_size(), static_cast<int>(kMaxTenants) + 1);
  double sum = 0;
  for (const double service : report.service()) sum += service;
  EXPECT_DOUBLE_EQ(sum, kMaxTenants * (kMaxTenants + 1) / 2.0 + 1 + 3000);
}

TEST_F(TenantLedgerTest, RoomIsSharedByWhatWaitsAndByWeight) {
  EXPECT_FALSE(ledger_.share_of(1, now_));  // nothing waits
  demand(1, {{10, 300, 3}});
  EXPECT_DOUBLE_EQ(*ledger_.share_of(1, now_), 1);
  EXPECT_DOUBLE_EQ(*ledger_.share_of(2, now_), 0);
  demand(2, {{20, 9000, 1}});
  EXPECT_DOUBLE_EQ(*ledger_.share_of(1, now_), 0.75);
  EXPECT_DOUBLE_EQ(*ledger_.share_of(2, now_), 0.25);
  demand(2, {{20, 9000, 1}, {10, 100, 3}});  // a quarter of what tenant 10 has waiting
  EXPECT_DOUBLE_EQ(*ledger_.share_of(1, now_), 0.75 * 0.75);
  EXPECT_DOUBLE_EQ(*ledger_.share_of(2, now_), 0.25 + 0.75 * 0.25);
  demand(2, {});
  EXPECT_DOUBLE_EQ(*ledger_.share_of(1, now_), 1);
}

TEST_F(TenantLedgerTest, DemandThatIsNotRepeatedIsOver) {
  demand(1, {{10, 300, 1}});
  now_ += kDemandLife;
  EXPECT_FALSE(ledger_.share_of(1, now_));
  v1::TenantReport report;
  ledger_.report(0, now_, report);
  EXPECT_FALSE(report.has_demand());
}

TEST_F(TenantLedgerTest, WatchesSayAllThenChangesAtTheirInterval) {
  ledger_.serve(1, {10, 0, 0}, now_);
  TenantWatch watch(ledger_, 42, 100);
  v1::TenantReport report;
  ASSERT_TRUE(watch.next(now_, report));
  EXPECT_EQ(report.incarnation(), 42u);
  EXPECT_EQ(report.tenant_size(), 1);
  ledger_.serve(2, {10, 0, 0}, now_);
  EXPECT_FALSE(watch.next(now_ + milliseconds(99), report));
  ASSERT_TRUE(watch.next(now_ + milliseconds(100), report));
  EXPECT_EQ(report.tenant(0), 2u);
  EXPECT_FALSE(watch.next(now_ + milliseconds(200), report));  // nothing has changed
  demand(1, {{10, 300, 1}});
  ASSERT_TRUE(watch.next(now_ + milliseconds(300), report));
  EXPECT_EQ(report.demand().waiting_tokens(0), 300u);
  ASSERT_TRUE(watch.next(now_ + seconds(3), report)) << "that nothing waits any more is news";
  EXPECT_FALSE(report.has_demand());
  EXPECT_FALSE(watch.next(now_ + seconds(4), report));
}

class TenantMeterTest : public TenantLedgerTest {
 protected:
  void begin(uint64_t id, int prompt, bool is_charged = true) {
    Request request;
    request.id = AttemptId{id};
    request.tenant = 9;
    request.prompt.assign(static_cast<size_t>(prompt), 1);
    request.is_charged = is_charged;
    meter_.begin(request);
  }
  void event(uint64_t id, decltype(EngineEvent::what) what) {
    const std::vector<EngineEvent> events{{AttemptId{id}, std::move(what)}};
    meter_.charge(events, now_);
  }
  static Tokens tokens(size_t count) {
    Tokens tokens;
    tokens.ids.assign(count, 5);
    return tokens;
  }
  static Admitted admitted(int32_t matched) {
    Admitted admitted;
    admitted.matched_tokens = matched;
    return admitted;
  }
  v1::TenantReport account() {
    v1::TenantReport report;
    ledger_.report(0, now_, report);
    return report;
  }
  TenantMeter meter_{ledger_};
};

TEST_F(TenantMeterTest, APromptIsChargedOnceAndOutputAsItComes) {
  begin(1, 100);
  event(1, admitted(40));
  EXPECT_DOUBLE_EQ(account().service(0), 0);
  EXPECT_DOUBLE_EQ(account().requests(0), 1);
  event(1, tokens(1));
  EXPECT_DOUBLE_EQ(account().service(0), 60 + 4 + 2);
  EXPECT_DOUBLE_EQ(account().tokens(0), 101);
  event(1, tokens(3));
  EXPECT_DOUBLE_EQ(account().service(0), 60 + 4 + 8);
  event(1, Done{});
  event(1, tokens(3));  // of an attempt that has ended: nobody's
  EXPECT_DOUBLE_EQ(account().tokens(0), 104);
}

TEST_F(TenantMeterTest, WhatGoesOnElsewhereIsChargedOnlyForItsOutput) {
  begin(1, 100, false);
  event(1, admitted(0));
  event(1, tokens(2));
  EXPECT_DOUBLE_EQ(account().service(0), 4);
  EXPECT_DOUBLE_EQ(account().requests(0), 0);
}

TEST_F(TenantMeterTest, WhatWasRefusedCostsNothing) {
  begin(1, 100);
  event(1, Rejected{RejectReason::queue_full, "", 0, 0});
  event(1, tokens(2));
  EXPECT_EQ(account().tenant_size(), 0);
}

}  // namespace
}  // namespace bessemer::testing
