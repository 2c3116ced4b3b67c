#include "router/admission/gate.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace bessemer::testing {
namespace {

class GateTest : public ::testing::Test {
 protected:
  GateTest() {
    auto made = std::make_shared<Tenant>();
    made->id = 1;
    tenant_ = made;
  }
  Entry enter() {
    const int who = last_++;
    return gate_.enter(
        "m", {tenant_, static_cast<uint64_t>(who) + 100, 10},
        [this, who] { turns_.push_back(who); }, now_);
  }
  TicketId wait() {
    const Entry entry = enter();
    EXPECT_TRUE(std::holds_alternative<TicketId>(entry));
    return std::holds_alternative<TicketId>(entry) ? std::get<TicketId>(entry) : TicketId{};
  }
  TenantPtr tenant_;
  Gate gate_{{100, std::chrono::hours(1)}};  // what these fill are the places
  TimePoint now_{};
  int last_ = 0;
  std::vector<int> turns_;
};

TEST_F(GateTest, WhileThereIsRoomEverybodyGoesThrough) {
  for (int i = 0; i < 5; i++) EXPECT_TRUE(std::holds_alternative<GoThrough>(enter()));
  EXPECT_EQ(gate_.waiting(), 0u);
}

TEST_F(GateTest, BehindAClosedGateTheyWaitAndGoInOrder) {
  gate_.found_none("m");
  std::vector<TicketId> tickets;
  for (int i = 0; i < 6; i++) tickets.push_back(wait());
  EXPECT_TRUE(turns_.empty());
  EXPECT_EQ(gate_.waiting(), 6u);
  gate_.wake(now_);
  EXPECT_EQ(turns_, (std::vector<int>{0, 1, 2, 3})) << "kTurns at once";
  gate_.gone("m", tickets[0], now_);
  EXPECT_EQ(turns_.back(), 4);
  gate_.put_back("m", tickets[1]);  // it found no room: nobody else has a turn
  gate_.gone("m", tickets[2], now_);
  EXPECT_EQ(turns_.size(), 5u);
  gate_.wake(now_);
  EXPECT_EQ(turns_[5], 1) << "where it was: before all that came later";
  EXPECT_EQ(turns_[6], 5);
}

// What workers report decides who goes next, and is half forgotten after kShareHalfLife.
TEST_F(GateTest, WhoWasGivenLessLatelyGoesFirst) {
  auto other = std::make_shared<Tenant>();
  other->id = 2;
  const auto report = [&](uint64_t tenant, double service, uint64_t mono_us) {
    v1::TenantReport given;
    given.set_incarnation(1);
    given.set_mono_us(mono_us);
    given.add_tenant(tenant);
    given.add_service(service);
    given.add_tokens(service);
    given.add_requests(1);
    gate_.report(0, given, now_);
  };
  report(3, 1, 1'000);  // what a worker said first is no news
  report(1, 1'000, 2'000);
  now_ += 3 * kShareHalfLife;
  report(2, 200, 15'002'000);
  gate_.found_none("m");
  for (const TenantPtr& tenant : {TenantPtr(other), tenant_}) {
    const int who = static_cast<int>(tenant->id);
    gate_.enter("m", {tenant, 500 + tenant->id, 10}, [this, who] { turns_.push_back(who); }, now_);
  }
  gate_.wake(now_);
  EXPECT_EQ(turns_, (std::vector<int>{1, 2})) << "1,000 of 15 seconds ago are 125 now";
}

TEST_F(GateTest, NobodyPassesThoseWhoWait) {
  gate_.found_none("m");
  const TicketId first = wait();
  gate_.wake(now_);
  EXPECT_EQ(turns_.size(), 1u);
  gate_.put_back("m", first);
  EXPECT_TRUE(std::holds_alternative<TicketId>(enter()));
}

TEST_F(GateTest, WhoLeavesWithATurnGivesItOn) {
  gate_.found_none("m");
  std::vector<TicketId> tickets;
  for (int i = 0; i < 6; i++) tickets.push_back(wait());
  gate_.wake(now_);
  gate_.leave("m", tickets[3], now_);
  EXPECT_EQ(turns_.back(), 4);
  gate_.leave("m", tickets[5], now_);  // it still waited
  gate_.leave("m", tickets[0], now_);
  EXPECT_EQ(turns_.size(), 5u);
  EXPECT_EQ(gate_.waiting(), 0u);
}

// Else a calm hour before would promise places that come much later.
TEST_F(GateTest, WhoWentThroughWithoutWaitingSaysNothingOfHowFastThoseWhoWaitGo) {
  gate_.set_limits({16, std::chrono::hours(1)});  // 12 of them for one tenant
  for (int i = 0; i < 1000; i++) EXPECT_TRUE(std::holds_alternative<GoThrough>(enter()));
  gate_.found_none("m");
  std::vector<TicketId> tickets;
  for (int i = 0; i < 8; i++) tickets.push_back(wait());
  gate_.wake(now_);
  now_ += std::chrono::seconds(10);  // one in ten seconds
  gate_.gone("m", tickets[0], now_);
  for (int i = 0; i < 12 && gate_.waiting() < 12; i++) wait();
  const Entry away = enter();
  ASSERT_TRUE(std::holds_alternative<TurnedAway>(away));
  EXPECT_GT(std::get<TurnedAway>(away).retry_after, std::chrono::seconds(5));
}

TEST_F(GateTest, DemandSaysWhatWaits) {
  EXPECT_EQ(gate_.demand().tenant_size(), 0);
  gate_.found_none("m");
  wait(), wait();
  const v1::Demand demand = gate_.demand();
  ASSERT_EQ(demand.tenant_size(), 1);
  EXPECT_EQ(demand.tenant(0), 1u);
  EXPECT_EQ(demand.waiting_tokens(0), 20u);
}

TEST(GateThreads, EveryTicketHasItsTurn) {
  Gate gate({.most = 100'000});
  auto tenant = std::make_shared<Tenant>();
  tenant->id = 1;
  std::atomic<int> gone = 0;
  std::atomic<bool> stop = false;
  constexpr int kEach = 500, kThreads = 4;
  std::thread waker([&] {
    while (!stop) gate.wake(TimePoint{});
  });
  std::vector<std::thread> cores;
  for (int t = 0; t < kThreads; t++) {
    cores.emplace_back([&, t] {
      for (int i = 0; i < kEach; i++) {
        if (i % 7 == 0) gate.found_none("m");
        std::atomic<bool> turn = false;
        const auto key = static_cast<uint64_t>(t * kEach + i + 1);
        const Entry entry = gate.enter("m", {tenant, key, 1}, [&] { turn = true; }, TimePoint{});
        if (const auto* ticket = std::get_if<TicketId>(&entry)) {
          while (!turn) std::this_thread::yield();
          gate.gone("m", *ticket, TimePoint{});
        }
        ++gone;
      }
    });
  }
  for (auto& core : cores) core.join();
  stop = true;
  waker.join();
  EXPECT_EQ(gone, kEach * kThreads);
  EXPECT_EQ(gate.waiting(), 0u);
}

}  // namespace
}  // namespace bessemer::testing
