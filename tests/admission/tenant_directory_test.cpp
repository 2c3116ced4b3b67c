#include "router/tenants/tenant_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/sha256.h"

namespace bessemer::testing {
namespace {

using ::testing::HasSubstr;

TenantConfig tenant(const std::string& name, const std::vector<std::string>& keys) {
  TenantConfig config;
  config.name = name;
  for (const std::string& key : keys) config.keys.push_back(sha256_of(key));
  return config;
}

std::string refusal(std::vector<TenantConfig> tenants) {
  const auto made = TenantDirectory::make(tenants);
  return made.ok() ? "" : std::string(made.status().message());
}

TEST(TenantDirectory, HashesAreSha256) {
  EXPECT_EQ(sha256_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(TenantDirectory, WithoutTenantsEverybodyIsWelcome) {
  const auto directory = *TenantDirectory::make({});
  EXPECT_TRUE(directory->is_open());
  EXPECT_EQ(directory->find("anything"), nullptr);
}

TEST(TenantDirectory, FindsWhoseAKeyIs) {
  TenantConfig acme = tenant("acme", {"one", "two"});
  acme.weight = 3;
  acme.service_class = "batch";
  const auto directory = *TenantDirectory::make({acme, tenant("other", {"three"})});
  EXPECT_FALSE(directory->is_open());
  ASSERT_NE(directory->find("two"), nullptr);
  EXPECT_EQ(directory->find("two"), directory->find("one"));
  EXPECT_EQ(directory->find("two")->name, "acme");
  EXPECT_EQ(directory->find("two")->weight, 3);
  EXPECT_EQ(directory->find("two")->service_class, ServiceClass::batch);
  EXPECT_NE(directory->find("three")->id, directory->find("two")->id);
  EXPECT_EQ(directory->find("four"), nullptr);
  EXPECT_EQ(directory->find(sha256_of("one")), nullptr) << "a hash is no key";
  EXPECT_EQ(directory->find(""), nullptr);
  EXPECT_EQ(directory->keyless(), nullptr);
}

TEST(TenantDirectory, OneTenantMayBeThoseWithoutAKey) {
  TenantConfig guests = tenant("guests", {});
  guests.keyless = true;
  const auto directory = *TenantDirectory::make({tenant("acme", {"one"}), guests});
  ASSERT_NE(directory->keyless(), nullptr);
  EXPECT_EQ(directory->keyless()->name, "guests");
}

TEST(TenantDirectory, RefusesWhatCannotBe) {
  TenantConfig keyless = tenant("b", {});
  keyless.keyless = true;
  TenantConfig second = tenant("c", {});
  second.keyless = true;
  TenantConfig heavy = tenant("a", {"k"}), classy = heavy, plain = heavy, negative = heavy;
  heavy.weight = 1001;
  classy.service_class = "first";
  plain.keys = {"sk-123"};
  negative.tokens_per_minute = -1;
  EXPECT_THAT(refusal({tenant("a b", {"k"})}), HasSubstr("'a b'"));
  EXPECT_THAT(refusal({tenant("a", {"k"}), tenant("a", {"l"})}), HasSubstr("twice"));
  EXPECT_THAT(refusal({tenant("a", {"k"}), tenant("b", {"k"})}), HasSubstr("keys is there twice"));
  EXPECT_THAT(refusal({tenant("a", {})}), HasSubstr("neither keys"));
  EXPECT_THAT(refusal({keyless, second}), HasSubstr("tenant 'c': another tenant is keyless"));
  EXPECT_THAT(refusal({heavy}), HasSubstr("weight must be from 1 to 1000"));
  EXPECT_THAT(refusal({classy}), HasSubstr("interactive, default or batch"));
  EXPECT_THAT(refusal({plain}), HasSubstr("bessemer key"));
  EXPECT_THAT(refusal({negative}), HasSubstr("negative"));
  EXPECT_EQ(refusal({tenant("a", {"k"}), keyless}), "");
}

}  // namespace
}  // namespace bessemer::testing
