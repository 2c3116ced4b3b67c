#include "router/tenants/tenant_counters.h"

#include <gtest/gtest.h>

namespace bessemer::testing {
namespace {

TEST(TenantCounters, CountOutcomesAndTokens) {
  TenantCounters counters;
  counters.count("acme", 200, 10, 4, 5);
  counters.count("acme", 429, 0, 0, 0);
  counters.count("acme", 499, 10, 0, 2);
  counters.count("acme", 503, 0, 0, 0);
  counters.count("acme", 400, 0, 0, 0);
  const TenantTotals acme = counters.totals().at("acme");
  EXPECT_EQ(acme.answered, 1u);
  EXPECT_EQ(acme.refused, 1u);
  EXPECT_EQ(acme.cancelled, 1u);
  EXPECT_EQ(acme.invalid, 1u);
  EXPECT_EQ(acme.failed, 1u);
  EXPECT_EQ(acme.prompt_tokens, 20u);
  EXPECT_EQ(acme.cached_tokens, 4u);
  EXPECT_EQ(acme.generated_tokens, 7u);
}

TEST(TenantCounters, HaveAFewNamesAndTheRestTogether) {
  TenantCounters counters;
  for (int i = 0; i < 80; i++) counters.count("t" + std::to_string(i), 200, 1, 0, 0);
  counters.count("t0", 200, 1, 0, 0);
  const auto totals = counters.totals();
  EXPECT_EQ(totals.size(), TenantCounters::kMostNames + 1);
  EXPECT_EQ(totals.at("t0").answered, 2u);
  EXPECT_EQ(totals.at(TenantCounters::kOther).answered, 30u);
}

}  // namespace
}  // namespace bessemer::testing
