// Which settings change while a router runs.
#include "cli/config/reload.h"

#include <set>

#include <gtest/gtest.h>

#include "cli/config/fields.h"

namespace bessemer {
namespace {

TEST(Reload, WhatIsListedIsASetting) {
  RouterConfig config;
  std::set<std::string, std::less<>> known;
  visit_fields(config, [&](const char* name, auto&, const char*) { known.insert(name); });
  for (const auto name : reloadable_settings()) EXPECT_TRUE(known.contains(name)) << name;
}

TEST(Reload, FixedSettingsStayAndAreNamed) {
  RouterConfig running, fresh;
  running.port = 8000;
  running.workers = {"a:1"};
  fresh.port = 9000;
  fresh.lanes = 3;
  fresh.cache_dir = "/elsewhere";
  fresh.workers = {"b:1"};
  fresh.max_body_bytes = 5000;
  EXPECT_EQ(keep_fixed(running, fresh), (std::vector<std::string>{"port", "lanes", "cache_dir"}));
  EXPECT_EQ(fresh.port, 8000);
  EXPECT_EQ(fresh.lanes, running.lanes);
  EXPECT_EQ(fresh.cache_dir, "");
  EXPECT_EQ(fresh.workers, std::vector<std::string>{"b:1"});
  EXPECT_EQ(fresh.max_body_bytes, 5000);
  EXPECT_TRUE(keep_fixed(running, fresh).empty());
}

}  // namespace
}  // namespace bessemer
