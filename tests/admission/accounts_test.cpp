#include "router/tenants/accounts.h"

#include <map>

#include <gtest/gtest.h>

#include "worker/service/tenant_ledger.h"

namespace bessemer::testing {
namespace {

using std::chrono::seconds;

// Against the ledgers of real workers.
class AccountsTest : public ::testing::Test {
 protected:
  void serve(size_t worker, uint64_t tenant, double tokens) {
    ledgers_[worker].serve(tenant, {tokens, tokens, 1}, now_);
  }
  void report(size_t worker, uint64_t incarnation = 1) {
    v1::TenantReport report;
    versions_[worker] = ledgers_[worker].report(versions_[worker], now_, report);
    report.set_incarnation(incarnation);
    report.set_mono_us(1000 + static_cast<uint64_t>(microseconds(now_.time_since_epoch())));
    accounts_.apply(
        static_cast<uint32_t>(worker), report, now_,
        [this](uint64_t tenant, const TenantGiven& more) { news_[tenant] += more.tokens; });
  }
  double given(uint64_t tenant) { return accounts_.given(tenant, now_).service; }

  TenantLedger ledgers_[2];
  uint64_t versions_[2] = {};
  TenantAccounts accounts_;
  std::map<uint64_t, double> news_;
  TimePoint now_{};
};

TEST_F(AccountsTest, AreTheSumOfAllWorkers) {
  serve(0, 7, 100);
  serve(1, 7, 50);
  serve(1, 8, 10);
  report(0);
  report(1);
  EXPECT_DOUBLE_EQ(given(7), 150);
  EXPECT_DOUBLE_EQ(given(8), 10);
  EXPECT_DOUBLE_EQ(given(9), 0);
  now_ += seconds(30);
  EXPECT_DOUBLE_EQ(given(7), 75) << "halves without a report, too";
  accounts_.drop(1, now_);
  EXPECT_DOUBLE_EQ(given(7), 50);
}

TEST_F(AccountsTest, WhatComesBetweenReportsIsNews) {
  serve(0, 7, 100);
  report(0);
  EXPECT_DOUBLE_EQ(news_[7], 0) << "given before this router looked";
  now_ += seconds(10);
  serve(0, 7, 30);
  serve(0, 8, 4);
  report(0);
  EXPECT_NEAR(news_[7], 30, 1e-9);
  EXPECT_NEAR(news_[8], 4, 1e-9);
  now_ += seconds(10);
  report(0);
  EXPECT_NEAR(news_[7], 30, 1e-9);
}

TEST_F(AccountsTest, AWorkerThatBeganAnewHasGivenNothing) {
  serve(0, 7, 100);
  report(0, 1);
  report(0, 2);
  EXPECT_DOUBLE_EQ(given(7), 0);
}

}  // namespace
}  // namespace bessemer::testing
