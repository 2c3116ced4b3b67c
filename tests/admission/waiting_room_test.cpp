#include "router/admission/waiting_room.h"

#include <cmath>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include <gtest/gtest.h>

#include "common/random.h"
#include "router/tenants/accounts.h"

namespace bessemer::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class WaitingRoomTest : public ::testing::Test {
 protected:
  static TenantPtr tenant(uint64_t id, int32_t weight = 1,
                          ServiceClass service_class = ServiceClass::normal) {
    auto made = std::make_shared<Tenant>();
    made->id = id;
    made->weight = weight;
    made->service_class = service_class;
    return made;
  }
  std::variant<TicketId, TurnedAway> enter(const TenantPtr& tenant, uint64_t key = 0,
                                           int32_t priority = 0,
                                           TimePoint deadline = TimePoint::max()) {
    if (key == 0) key = ++last_key_;
    return room_.enter({tenant, key, 10, priority, deadline}, {most_, longest_}, now_, service());
  }
  // Whose ticket it is.
  TicketId in(const TenantPtr& tenant, int32_t priority = 0,
              TimePoint deadline = TimePoint::max()) {
    const auto entry = enter(tenant, 0, priority, deadline);
    EXPECT_TRUE(std::holds_alternative<TicketId>(entry));
    if (!std::holds_alternative<TicketId>(entry)) return {};
    owner_[std::get<TicketId>(entry)] = tenant;
    return std::get<TicketId>(entry);
  }
  uint64_t next() {
    const auto ticket = room_.next(now_, service());
    if (!ticket) return 0;
    room_.note_gone({owner_.at(*ticket), 0, 10}, now_);
    return owner_.at(*ticket)->id;
  }
  ServiceOf service() {
    return [this](uint64_t tenant) { return given_[tenant]; };
  }
  WaitingRoom room_;
  size_t most_ = 1000;
  Duration longest_ = seconds(20);
  TimePoint now_{};
  uint64_t last_key_ = 1000;
  std::map<TicketId, TenantPtr> owner_;
  std::map<uint64_t, double> given_;
};

TEST_F(WaitingRoomTest, OfOneTenantTheHighestPriorityThenTheFirstDeadlineThenTheFirst) {
  const auto acme = tenant(1);
  const TicketId last = in(acme), later = in(acme, 0, now_ + seconds(9)),
                 soon = in(acme, 0, now_ + seconds(3)), high = in(acme, 5);
  const TicketId after = in(acme);
  for (const TicketId expected : {high, soon, later, last, after})
    EXPECT_EQ(room_.next(now_, service()), expected);
  EXPECT_FALSE(room_.next(now_, service()));
}

TEST_F(WaitingRoomTest, WhoWasGivenLeastForHisWeightGoesFirst) {
  const auto one = tenant(1), three = tenant(2, 3);
  in(one);
  in(three);
  in(three);
  given_[1] = 100;
  given_[2] = 200;
  EXPECT_EQ(next(), 2u);
  given_[2] = 400;
  EXPECT_EQ(next(), 1u);
}

TEST_F(WaitingRoomTest, ClassesGoInTheirPartsAndNoneWaitsForEver) {
  const auto chat = tenant(1, 1, ServiceClass::interactive),
             bulk = tenant(2, 1, ServiceClass::batch);
  for (int i = 0; i < 100; i++) in(bulk);
  for (int i = 0; i < 100; i++) in(chat);
  std::map<uint64_t, int> gone;
  for (int i = 0; i < 34; i++) gone[next()]++;
  EXPECT_EQ(gone[1], 32);
  EXPECT_EQ(gone[2], 2);
}

// W3
TEST_F(WaitingRoomTest, WhoWasAwayHasNoClaimToWhatHeDidNotWant) {
  const auto busy = tenant(1), idle = tenant(2);
  given_[1] = 10'000;
  for (int i = 0; i < 10; i++) in(busy);
  for (int i = 0; i < 10; i++) in(idle);
  std::map<uint64_t, int> gone;
  for (int i = 0; i < 10; i++) {
    const uint64_t who = next();
    gone[who]++;
    given_[who] += 100;
  }
  EXPECT_EQ(gone[1], 5);
  EXPECT_EQ(gone[2], 5);
}

// W1
TEST_F(WaitingRoomTest, ATenantMayHaveItsPartOfThePlaces) {
  most_ = 40;
  const auto one = tenant(1), three = tenant(2, 3);
  int first = 0, second = 0;
  while (std::holds_alternative<TicketId>(enter(one))) first++;
  EXPECT_EQ(first, 30) << "alone, all that are open";
  while (std::holds_alternative<TicketId>(enter(three))) second++;
  EXPECT_EQ(second, 10) << "all that is left";
  EXPECT_EQ(room_.waiting(), 40u);
}

// W2
TEST_F(WaitingRoomTest, WhoIsToldToComeBackFindsHisPlace) {
  most_ = 4;
  const auto acme = tenant(1);
  for (int i = 0; i < 3; i++) in(acme);
  for (int i = 0; i < 20; i++) {  // two a second go, and two a second come
    now_ += milliseconds(500);
    next();
    in(acme);
  }
  const auto refused = enter(acme, 77);
  ASSERT_TRUE(std::holds_alternative<TurnedAway>(refused));
  const Duration wait = std::get<TurnedAway>(refused).retry_after;
  EXPECT_NEAR(static_cast<double>(microseconds(wait)), 0.5e6, 0.1e6);
  const auto second = enter(acme, 78);
  EXPECT_NEAR(static_cast<double>(microseconds(std::get<TurnedAway>(second).retry_after)), 1.0e6,
              0.1e6);
  EXPECT_EQ(room_.promised(1), 2u);
  now_ += wait / 2;
  EXPECT_TRUE(std::holds_alternative<TurnedAway>(enter(acme, 77))) << "too early";
  now_ += wait;
  next();
  EXPECT_TRUE(std::holds_alternative<TurnedAway>(enter(acme))) << "a place is kept, not given away";
  EXPECT_TRUE(std::holds_alternative<TicketId>(enter(acme, 77)));
  EXPECT_TRUE(std::holds_alternative<TurnedAway>(enter(acme, 77))) << "once";
  now_ += seconds(200);
  enter(tenant(2));
  EXPECT_EQ(room_.promised(1), 0u) << "who does not come back loses his place";
  const PromiseCounts& counts = room_.promise_counts();
  EXPECT_EQ(counts.told, 4u);  // 77, 78, the one between, and 77 once more
  EXPECT_EQ(counts.let_in, 1u);
  EXPECT_EQ(counts.early, 1u);
  EXPECT_EQ(counts.refused, 0u);
  EXPECT_EQ(counts.lapsed, 3u);
}

// There is room before his time: he gets it, and keeps no other place.
TEST_F(WaitingRoomTest, WhoComesEarlyMayBeLetInAllTheSame) {
  most_ = 4;
  const auto acme = tenant(1);
  for (int i = 0; i < 3; i++) in(acme);
  EXPECT_TRUE(std::holds_alternative<TurnedAway>(enter(acme, 77)));
  for (int i = 0; i < 3; i++) next();
  now_ += milliseconds(1);
  EXPECT_TRUE(std::holds_alternative<TicketId>(enter(acme, 77)));
  EXPECT_EQ(room_.promised(1), 0u);
  EXPECT_EQ(room_.promise_counts().let_in, 1u);
}

// W1
TEST_F(WaitingRoomTest, WhoWouldWaitTooLongIsToldWhenNot) {
  const auto acme = tenant(1), other = tenant(2), bulk = tenant(3, 1, ServiceClass::batch);
  // One goes each second, and as many come; then the line grows.
  const auto let_in = [&](const TenantPtr& whose) {
    for (int i = 0; i < 5; i++) in(whose);
    for (int i = 0; i < 20; i++) {
      now_ += seconds(1);
      const auto ticket = room_.next(now_, service());
      room_.note_gone({whose, 0, 10}, now_);
      EXPECT_TRUE(ticket);
      in(whose);
    }
    int more = 0;
    while (more < 500 && std::holds_alternative<TicketId>(enter(whose))) more++;
    return static_cast<int>(room_.waiting(whose->id));
  };
  EXPECT_NEAR(let_in(acme), 20, 2) << "seconds, at one a second";
  const auto refused = enter(acme, 77);
  const auto behind = enter(acme, 78);
  const Duration first = std::get<TurnedAway>(refused).retry_after;
  const Duration second = std::get<TurnedAway>(behind).retry_after;
  EXPECT_NEAR(static_cast<double>(microseconds(second - first)), 1e6, 0.2e6);
  EXPECT_TRUE(std::holds_alternative<TicketId>(enter(other))) << "no other's line is any longer";
  now_ += second;
  EXPECT_TRUE(std::holds_alternative<TicketId>(enter(acme, 78))) << "his place was kept";
  room_ = {};
  EXPECT_GT(let_in(bulk), 500) << "nobody sits before a batch";
}

// A tenant's file is read again while some of its requests wait.
TEST_F(WaitingRoomTest, AClassMayChangeWhileItsTenantWaits) {
  const auto before = tenant(1, 1, ServiceClass::interactive);
  const auto after = tenant(1, 1, ServiceClass::batch);
  const TicketId first = in(before);
  in(before);
  const TicketId last = in(after);
  in(tenant(2));
  EXPECT_TRUE(room_.leave(last, now_));
  const auto all = [&] {
    std::multiset<uint64_t> ids;
    while (const uint64_t id = next()) ids.insert(id);
    return ids;
  };
  EXPECT_EQ(all(), (std::multiset<uint64_t>{1, 1, 2}));
  room_.put_back(first, {before, 0, 10});
  EXPECT_EQ(all(), (std::multiset<uint64_t>{1}));
  in(before);
  EXPECT_EQ(all(), (std::multiset<uint64_t>{1}));
  EXPECT_EQ(room_.waiting(), 0u);
}

TEST_F(WaitingRoomTest, LeavingFreesAPlace) {
  most_ = 4;
  const auto acme = tenant(1);
  const TicketId first = in(acme);
  in(acme), in(acme);
  EXPECT_TRUE(std::holds_alternative<TurnedAway>(enter(acme, 5)));
  EXPECT_TRUE(room_.leave(first, now_));
  EXPECT_FALSE(room_.leave(first, now_));
  EXPECT_EQ(room_.waiting(), 2u);
}

// Two tenants of weights 1 and 3, each with so many clients that all of them together ask for three
// times what goes; they come back when they are told to.
TEST_F(WaitingRoomTest, UnderOverloadSharesFollowWeightsAndTheFirstRetryIsLetIn) {
  most_ = 64;
  Random random(5);
  const TenantPtr tenants[2] = {tenant(1, 1), tenant(2, 3)};
  struct Client {
    size_t who = 0;
    uint64_t key = 0;
    bool is_retry = false;
  };
  std::multimap<TimePoint, Client> coming;
  for (size_t i = 0; i < 400; i++)
    coming.emplace(now_ + milliseconds(random.between(0, 5000)), Client{i % 2, ++last_key_});
  std::map<TicketId, Client> inside;
  std::map<uint64_t, double> served;
  int let_in = 0, retries = 0;
  constexpr int kTicks = 60'000;  // of 10 ms; one request goes each 50 ms
  for (int tick = 0; tick < kTicks; tick++) {
    now_ += milliseconds(10);
    for (auto& [id, given] : given_) given *= std::exp2(-0.01 / 5);
    while (!coming.empty() && coming.begin()->first <= now_) {
      Client client = coming.begin()->second;
      coming.erase(coming.begin());
      const auto entry = enter(tenants[client.who], client.key);
      ASSERT_LE(room_.waiting(), most_);
      const auto* ticket = std::get_if<TicketId>(&entry);
      retries += client.is_retry;
      let_in += client.is_retry && ticket != nullptr;
      if (ticket != nullptr) {
        owner_[*ticket] = tenants[client.who];
        inside[*ticket] = client;
        continue;
      }
      const Duration after = std::get<TurnedAway>(entry).retry_after;
      client.is_retry = true;
      coming.emplace(now_ + after + milliseconds(random.between(0, 100)), client);
    }
    if (tick % 5 != 0) continue;
    const auto ticket = room_.next(now_, service());
    if (!ticket) continue;
    const Client gone = inside.extract(*ticket).mapped();
    const Tenant& tenant = *tenants[gone.who];
    room_.note_gone({tenants[gone.who], gone.key, 10}, now_);
    given_[tenant.id] += 100;
    if (tick > kTicks / 6) served[tenant.id] += 1;
    const auto pause = milliseconds(random.between(1000, 5000));
    coming.emplace(now_ + pause, Client{gone.who, ++last_key_});
  }
  EXPECT_GT(retries, 1000);
  EXPECT_GE(let_in, retries * 95 / 100) << retries;
  EXPECT_NEAR(served[2] / (served[1] + served[2]), 0.75, 0.02);
}

// A worker that answers 250 requests a second and says each quarter of a second what it gave.
// Each tenant has more clients than places; who is told to come back in half a second, the least
// that is told, must not leave his tenant's places empty till then (W2).
TEST_F(WaitingRoomTest, SharesFollowWeightsWhereRequestsAreQuickerThanReports) {
  most_ = 32;
  const TenantPtr tenants[2] = {tenant(1, 1), tenant(2, 3)};
  struct Client {
    size_t who = 0;
    uint64_t key = 0;
  };
  std::multimap<TimePoint, Client> coming;
  for (size_t i = 0; i < 32; i++) coming.emplace(now_, Client{i % 2, ++last_key_});
  std::map<TicketId, Client> inside;
  std::map<uint64_t, double> unsaid, served;
  int unused = 0;
  constexpr int kTicks = 15'000;  // of 4 ms; one request goes in each
  for (int tick = 0; tick < kTicks; tick++) {
    now_ += milliseconds(4);
    for (; !coming.empty() && coming.begin()->first <= now_; coming.erase(coming.begin())) {
      const Client client = coming.begin()->second;
      const auto entry = enter(tenants[client.who], client.key);
      if (const auto* away = std::get_if<TurnedAway>(&entry)) {
        coming.emplace(now_ + away->retry_after, client);
      } else {
        inside[std::get<TicketId>(entry)] = client;
      }
    }
    for (auto& [id, sum] : given_) sum *= std::exp2(-0.004 / 5);
    if (tick % 62 == 0) {
      for (auto& [id, count] : unsaid) given_[id] += 100 * std::exchange(count, 0);
    }
    const auto ticket = room_.next(now_, service());
    if (!ticket) {
      ++unused;
      continue;
    }
    const Client gone = inside.extract(*ticket).mapped();
    const uint64_t id = tenants[gone.who]->id;
    room_.note_gone({tenants[gone.who], gone.key, 10}, now_);
    unsaid[id] += 1;
    if (tick > kTicks / 3) served[id] += 1;
    coming.emplace(now_ + milliseconds(25), Client{gone.who, ++last_key_});
  }
  EXPECT_NEAR(served[2] / (served[1] + served[2]), 0.75, 0.02) << unused << " turns unused";
  EXPECT_LT(unused, kTicks / 50);
}

// At the edge of what fits one waits, goes, and the next one comes; then far too many do.
TEST_F(WaitingRoomTest, WhoWaitedAloneSaysHowFastALineGoes) {
  longest_ = seconds(5);
  const auto acme = tenant(1);
  for (int i = 0; i < 600; i++) {
    in(acme);
    now_ += milliseconds(500);
    EXPECT_EQ(next(), 1u);
    now_ += milliseconds(500);
  }
  int more = 0;
  while (more < 500 && std::holds_alternative<TicketId>(enter(acme))) more++;
  EXPECT_NEAR(more, 10, 2) << "five seconds, at two a second";
}

// An overload ends, those who were told to come back never do, and an hour later there is another.
TEST_F(WaitingRoomTest, AQuietHourDoesNotCountAsWaiting) {
  longest_ = seconds(5);
  const auto acme = tenant(1);
  const auto rush = [&] {
    for (int i = 0; i < 40; i++) {
      now_ += milliseconds(250);
      enter(acme);
      enter(acme);
      if (const auto ticket = room_.next(now_, service())) room_.note_gone({acme, 0, 10}, now_);
    }
    auto entry = enter(acme);
    while (std::holds_alternative<TicketId>(entry)) entry = enter(acme);
    while (room_.next(now_, service())) continue;
    return std::get<TurnedAway>(entry).retry_after;
  };
  const Duration before = rush();
  for (int i = 0; i < 3600; i++) {  // workers say now and then that they have room
    now_ += seconds(1);
    room_.next(now_, service());
  }
  const Duration after = rush();
  EXPECT_LT(before, seconds(30));
  EXPECT_LT(after, seconds(30));
}

// Three times what goes, half of it from a tenant that a quarter of what goes is for. Whoever is sent
// away comes back once, when he is told to.
TEST_F(WaitingRoomTest, NobodyWaitsMuchLongerThanHeMay) {
  most_ = 256;
  longest_ = seconds(5);
  Random random(7);
  const TenantPtr tenants[2] = {tenant(1, 1), tenant(2, 3)};
  struct Client {
    size_t who = 0;
    uint64_t key = 0;
    bool is_retry = false;
    TimePoint entered{};
  };
  std::multimap<TimePoint, Client> coming;
  std::map<TicketId, Client> inside;
  std::map<uint64_t, double> served;
  Duration longest{};
  int retries = 0, let_in = 0, unused = 0;
  constexpr int kTicks = 12'000;  // of 10 ms; one request goes in each eighth
  for (int tick = 0; tick < kTicks; tick++) {
    now_ += milliseconds(10);
    for (auto& [id, sum] : given_) sum *= std::exp2(-0.01 / 5);
    if (random.uniform() < 3.0 / 8) coming.emplace(now_, Client{random.below(2), ++last_key_});
    for (; !coming.empty() && coming.begin()->first <= now_; coming.erase(coming.begin())) {
      Client client = coming.begin()->second;
      const auto entry = enter(tenants[client.who], client.key);
      const auto* away = std::get_if<TurnedAway>(&entry);
      retries += client.is_retry;
      let_in += client.is_retry && away == nullptr;
      client.entered = now_;
      if (away == nullptr) inside[std::get<TicketId>(entry)] = client;
      if (away == nullptr || std::exchange(client.is_retry, true)) continue;
      coming.emplace(now_ + away->retry_after, client);
    }
    if (tick % 8 != 0) continue;
    const auto ticket = room_.next(now_, service());
    if (!ticket) {
      ++unused;
      continue;
    }
    const Client gone = inside.extract(*ticket).mapped();
    room_.note_gone({tenants[gone.who], gone.key, 10}, now_);
    given_[tenants[gone.who]->id] += 100;
    if (tick > kTicks / 4) served[gone.who] += 1;
    longest = std::max(longest, now_ - gone.entered);
  }
  EXPECT_LE(std::chrono::duration<double>(longest).count(), 6.5);
  EXPECT_GE(let_in, retries * 95 / 100) << retries;
  EXPECT_NEAR(served[1] / (served[0] + served[1]), 0.75, 0.02);
  EXPECT_LT(unused, 20);
}

}  // namespace
}  // namespace bessemer::testing
