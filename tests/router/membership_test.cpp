// Who is a member of the cluster: sources, their roster, and ids that come and go.
#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "common/random.h"
#include "router/cluster/registry.h"
#include "router/cluster/roster.h"
#include "router/cluster/worker_source.h"

namespace bessemer {
namespace {

std::string message_of(const std::string& text) {
  return std::string(parse_worker_source(text).status().message());
}

TEST(WorkerSource, Addresses) {
  for (const char* good : {"127.0.0.1:1", "worker-0.svc:65535", "[::1]:80"}) {
    const auto source = parse_worker_source(good);
    ASSERT_TRUE(source.ok()) << source.status();
    EXPECT_EQ(source->kind, WorkerSource::Kind::address);
  }
  for (const char* bad :
       {"", ":80", "host", "host:", "host:0", "host:65536", "host:8x", "::1:80", "a b:80"}) {
    EXPECT_NE(message_of(bad).find("'" + std::string(bad) + "' is not host:port"),
              std::string::npos)
        << bad;
  }
}

TEST(WorkerSource, NamesOfDns) {
  const auto source = parse_worker_source("dns://workers.default.svc:9000");
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->kind, WorkerSource::Kind::dns);
  EXPECT_EQ(source->host, "workers.default.svc");
  EXPECT_EQ(source->port, "9000");
  EXPECT_EQ(message_of("dns://workers"), "worker 'dns://workers' is not dns://name:port");
}

TEST(WorkerSource, ServicesOfKubernetes) {
  const auto source = parse_worker_source("k8s://prod/workers:grpc");
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->kind, WorkerSource::Kind::kubernetes);
  EXPECT_EQ(source->name_space, "prod");
  EXPECT_EQ(source->service, "workers");
  EXPECT_EQ(source->port, "grpc");
  EXPECT_TRUE(parse_worker_source("k8s:///workers:9000").ok());  // in the router's own namespace
  for (const char* bad : {"k8s://workers:grpc", "k8s://a/b", "k8s://a/B:grpc",
                          "k8s://a/b:", "k8s://a/b:-x", "k8s://a/b/c:grpc"}) {
    EXPECT_NE(message_of(bad).find("is not k8s://namespace/service:port"), std::string::npos)
        << bad;
  }
}

TEST(WorkerSource, ListsAreBounded) {
  EXPECT_EQ(parse_worker_sources({"a:1", "a:1"}).status().message(), "worker a:1 is listed twice");
  const std::vector<std::string> many(kMaxWorkers + 1, "a:1");
  EXPECT_FALSE(parse_worker_sources(many).ok());
  std::vector<std::string> watched;
  for (size_t i = 0; i <= kMaxWatchedSources; i++)
    watched.push_back("dns://name:" + std::to_string(i + 1));
  EXPECT_FALSE(parse_worker_sources(watched).ok());
  watched.pop_back();
  EXPECT_TRUE(parse_worker_sources(watched).ok());
}

TEST(Roster, KeepsWhatEachSourceSawLast) {
  Roster roster;
  EXPECT_TRUE(roster.see("one", {{"a:1"}, {"b:1"}}));
  EXPECT_TRUE(roster.see("two", {{"c:1"}}));
  EXPECT_FALSE(roster.see("two", {{"c:1"}}));
  EXPECT_EQ(roster.members(), (std::vector<Member>{{"a:1"}, {"b:1"}, {"c:1"}}));
  EXPECT_TRUE(roster.see("one", {{"b:1"}}));
  EXPECT_TRUE(roster.forget("two"));
  EXPECT_FALSE(roster.forget("two"));
  EXPECT_EQ(roster.members(), (std::vector<Member>{{"b:1"}}));
}

TEST(Roster, AnAddressOfTwoSourcesHasTheBetterStanding) {
  Roster roster;
  roster.see("one", {{"a:1", MemberStanding::leaving}});
  roster.see("two", {{"a:1", MemberStanding::starting}, {"a:1", MemberStanding::leaving}});
  EXPECT_EQ(roster.members(), (std::vector<Member>{{"a:1", MemberStanding::starting}}));
  EXPECT_TRUE(roster.forget("two"));
  EXPECT_EQ(roster.members(), (std::vector<Member>{{"a:1", MemberStanding::leaving}}));
}

class MembershipTest : public ::testing::Test {
 protected:
  using Ids = std::vector<uint32_t>;

  Registry::Moves members(const std::vector<Member>& members) {
    registry_.set_members(members);
    return registry_.reconcile(now_);
  }
  Ids departed_after(Duration wait) {
    now_ += wait;
    return registry_.reconcile(now_).departed;
  }
  void connect(uint32_t id) {
    v1::Hello hello;
    hello.set_incarnation(id + 100);
    registry_.lane_up(id, 0, hello);
    v1::ModelCard card;
    card.set_name("m");
    card.set_card_hash("h");
    card.set_tokenizer_hash("t");
    if (!registry_.card(id, card, now_).empty()) registry_.text(id, "t", text_, now_);
  }
  WorkerView view(uint32_t id) { return registry_.view()->workers.at(id); }
  Ids model_workers() { return registry_.view()->models.at("m")->workers; }

  TimePoint now_{std::chrono::seconds(1)};
  const char opaque_ = 0;
  ModelTextPtr text_{std::make_shared<char>(), reinterpret_cast<const ModelText*>(&opaque_)};
  Registry registry_;
};

TEST_F(MembershipTest, MembersGetIdsAndKeepThem) {
  EXPECT_EQ(members({{"a:1"}, {"b:1"}}).joined, (Ids{0, 1}));
  const auto moves = members({{"a:1"}, {"b:1"}, {"c:1"}});
  EXPECT_EQ(moves.joined, Ids{2});
  EXPECT_TRUE(moves.departed.empty());
  EXPECT_EQ(view(1).address, "b:1");
  EXPECT_EQ(view(1).state, WorkerState::down);
}

TEST_F(MembershipTest, AnUnlistedWorkerFinishesWhatItHas) {  // R6
  members({{"a:1"}, {"b:1"}});
  connect(0);
  connect(1);
  EXPECT_EQ(model_workers(), (Ids{0, 1}));
  registry_.worker(0)->load->own = 1;
  EXPECT_TRUE(members({{"b:1"}}).departed.empty());
  EXPECT_EQ(view(0).state, WorkerState::draining);
  EXPECT_EQ(view(0).problem, "no longer listed");
  EXPECT_EQ(model_workers(), Ids{1});
  EXPECT_TRUE(departed_after(std::chrono::hours(1)).empty());
  registry_.worker(0)->load->own = 0;
  EXPECT_TRUE(departed_after(std::chrono::milliseconds(0)).empty());
  EXPECT_EQ(departed_after(kLeaveConnectedAfter), Ids{0});
  EXPECT_EQ(view(0).state, WorkerState::absent);
  EXPECT_EQ(registry_.worker(0), nullptr);
}

TEST_F(MembershipTest, AnUnlistedWorkerWhoseLanesEndDepartsSoon) {
  members({{"a:1"}});
  connect(0);
  registry_.worker(0)->load->own = 1;  // what it had may be attached to again
  members({});
  registry_.lane_down(0, 0, "killed");
  EXPECT_TRUE(departed_after(std::chrono::milliseconds(0)).empty());
  EXPECT_TRUE(departed_after(kLeaveAfter / 2).empty());
  EXPECT_EQ(departed_after(kLeaveAfter / 2), Ids{0});
}

TEST_F(MembershipTest, WhoComesBackInTimeStays) {
  members({{"a:1"}});
  connect(0);
  members({});
  EXPECT_TRUE(departed_after(kLeaveConnectedAfter / 2).empty());
  EXPECT_TRUE(members({{"a:1"}}).joined.empty());
  EXPECT_EQ(view(0).state, WorkerState::ready);
  EXPECT_EQ(view(0).problem, "");
  EXPECT_TRUE(departed_after(std::chrono::hours(1)).empty());
}

TEST_F(MembershipTest, AnIdIsGivenAgainOnceNobodyHoldsIt) {  // R7
  members({{"a:1"}});
  ClusterViewPtr old = registry_.view();
  std::shared_ptr<LoadSlot> held = old->workers[0].load;
  members({});
  EXPECT_TRUE(departed_after(std::chrono::milliseconds(0)).empty());
  EXPECT_EQ(departed_after(kLeaveAfter), Ids{0});
  EXPECT_EQ(members({{"b:1"}}).joined, Ids{1});  // a view and a request hold 0
  EXPECT_EQ(view(0).state, WorkerState::absent);
  EXPECT_EQ(view(0).load, nullptr);
  old.reset();
  EXPECT_EQ(members({{"b:1"}, {"c:1"}}).joined, Ids{2});
  held.reset();
  EXPECT_EQ(members({{"b:1"}, {"c:1"}, {"d:1"}}).joined, Ids{0});
  EXPECT_EQ(view(0).address, "d:1");
}

TEST_F(MembershipTest, NobodyGetsWorkBeforeOrAfterItsTime) {
  members({{"a:1", MemberStanding::starting}, {"b:1", MemberStanding::serving}});
  connect(0);
  connect(1);
  EXPECT_EQ(view(0).state, WorkerState::joining);
  EXPECT_EQ(view(0).problem, "not ready, says its cluster");
  EXPECT_EQ(model_workers(), Ids{1});
  members({{"a:1", MemberStanding::serving}, {"b:1", MemberStanding::leaving}});
  EXPECT_EQ(view(1).state, WorkerState::draining);
  EXPECT_EQ(model_workers(), Ids{0});
  EXPECT_TRUE(departed_after(std::chrono::hours(1)).empty());  // leaving, but still a member
}

TEST_F(MembershipTest, WhatIsSaidOfNobodyIsDropped) {
  EXPECT_TRUE(registry_.lane_up(7, 0, {}).empty());
  EXPECT_TRUE(registry_.card(7, v1::ModelCard(), now_).empty());
  registry_.lane_down(7, 0, "x");
  registry_.draining(7);
  registry_.text(7, "t", text_, now_);
  registry_.load_watch_ended(7, now_);
  EXPECT_TRUE(registry_.view()->workers.empty());
}

TEST_F(MembershipTest, BeyondTheBoundMembersWait) {  // R8
  std::vector<Member> many;
  for (size_t i = 0; i < kMaxWorkers + 2; i++) many.push_back({"w:" + std::to_string(10'000 + i)});
  EXPECT_EQ(members(many).joined.size(), kMaxWorkers);
  EXPECT_TRUE(registry_.reconcile(now_).joined.empty());
  many.erase(many.begin());
  EXPECT_TRUE(members(many).joined.empty());
  now_ += kLeaveAfter;
  const auto moves = registry_.reconcile(now_);
  EXPECT_EQ(moves.departed, Ids{0});
  EXPECT_EQ(moves.joined, Ids{0});
}

// Against a plain set, with changes drawn by seed: who is listed has an id of its own, and nobody
// who is not has one for ever.
TEST_F(MembershipTest, RandomChanges) {
  Random random(20261122);
  std::map<uint32_t, std::string> sessions;
  for (int turn = 0; turn < 2'000; turn++) {
    std::vector<Member> listed;
    for (int i = 0; i < 12; i++) {
      if (random.chance(0.5)) listed.push_back({"w:" + std::to_string(i + 1)});
    }
    if (random.chance(0.3)) registry_.set_members(listed);
    const auto moves = registry_.reconcile(now_);
    for (const uint32_t id : moves.departed) ASSERT_EQ(sessions.erase(id), 1u);
    for (const uint32_t id : moves.joined)
      ASSERT_TRUE(sessions.emplace(id, registry_.worker(id)->address).second);
    std::set<std::string> addresses;
    for (const auto& [id, address] : sessions) {
      ASSERT_EQ(registry_.worker(id)->address, address);
      ASSERT_TRUE(addresses.insert(address).second);
      if (random.chance(0.2)) connect(id);
      if (random.chance(0.2)) registry_.lane_down(id, 0, "lost");
    }
    ASSERT_LE(sessions.size(), 12u);
    now_ += std::chrono::milliseconds(random.between(0, 2'000));
  }
  members({});
  registry_.reconcile(now_ += kLeaveConnectedAfter);
  registry_.reconcile(now_ += kLeaveConnectedAfter);
  const ClusterViewPtr view = registry_.view();
  for (const auto& worker : view->workers) EXPECT_EQ(worker.state, WorkerState::absent);
}

}  // namespace
}  // namespace bessemer
