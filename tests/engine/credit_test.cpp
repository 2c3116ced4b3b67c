// Choices whose receivers take no more for now, case by case.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/harness.h"

namespace bessemer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::vector<int32_t> undisturbed(const Request& request, int32_t choice = 0) {
  return fake::answer(request, choice, 1000, 128).ids;
}

Request slow_request(uint64_t id, int32_t prompt, int32_t max_tokens, int32_t send_until) {
  Request request = Harness::request(id, prompt, max_tokens);
  request.send_until = send_until;
  return request;
}

TEST(Credit, AChoiceStopsAtItsCreditAndGoesOnWithMore) {
  Harness h(Harness::limits());
  const Request request = slow_request(1, 10, 12, 5);
  h.scheduler.add(request, h.now);
  EXPECT_EQ(h.run(), 5);
  EXPECT_THAT(h.ids(1), SizeIs(5));
  const EngineStats parked = h.scheduler.stats();
  EXPECT_EQ(parked.parked, 1);
  EXPECT_EQ(parked.running + parked.waiting, 0);
  EXPECT_EQ(parked.slots_open, 0);
  EXPECT_EQ(parked.backlog_tokens, 0);
  EXPECT_FALSE(parked.work_pending);
  h.scheduler.credit(AttemptId{1}, 8);
  EXPECT_TRUE(h.scheduler.stats().work_pending);
  EXPECT_EQ(h.run(), 3);
  h.scheduler.credit(AttemptId{1}, 6);  // late: less than was said
  EXPECT_EQ(h.run(), 0);
  h.scheduler.credit(AttemptId{1}, 100);
  h.run();
  EXPECT_EQ(h.ids(1), undisturbed(request));
  EXPECT_EQ(h.all<Done>(1)[0].usage.recomputed, 0);  // it kept its blocks
  EXPECT_EQ(h.scheduler.kv().held_count(), 0);
}

TEST(Credit, WithoutALimitItMeansNothing) {
  Harness h(Harness::limits());
  h.scheduler.add(Harness::request(1, 10, 12), h.now);
  h.scheduler.credit(AttemptId{1}, 3);
  h.scheduler.credit(AttemptId{9}, 3);
  h.run();
  EXPECT_THAT(h.ids(1), SizeIs(12));
}

TEST(Credit, WhatIsParkedGivesUpItsBlocksFirst) {
  Harness h(Harness::limits(8));  // 32 rows
  const Request slow = slow_request(1, 14, 10, 4);
  h.scheduler.add(slow, h.now);
  h.run();
  EXPECT_GT(h.scheduler.kv().held_count(), 0);
  const Request other = Harness::request(2, 20, 12);
  h.scheduler.add(other, h.now);
  h.run();
  EXPECT_EQ(h.ids(2), undisturbed(other));
  EXPECT_EQ(h.all<Done>(2)[0].timing.preemptions, 0);
  h.scheduler.credit(AttemptId{1}, 10);
  h.run();
  EXPECT_EQ(h.ids(1), undisturbed(slow));
  EXPECT_EQ(h.all<Done>(1)[0].timing.preemptions, 1);
}

TEST(Credit, ParkedOnesTakeNeitherSlotsNorPlacesInTheQueue) {
  Limits limits = Harness::limits();
  limits.slots = 1;
  Harness h(limits, {.max_waiting = 1, .max_parked = 2});
  for (uint64_t id = 1; id <= 2; ++id) {
    h.scheduler.add(slow_request(id, 5, 10, 2), h.now);
    h.run();
  }
  EXPECT_EQ(h.scheduler.stats().parked, 2);
  h.scheduler.add(Harness::request(3, 5, 10), h.now);
  h.plan();
  ASSERT_THAT(h.all<Rejected>(3), SizeIs(1));
  EXPECT_THAT(h.all<Rejected>(3)[0].detail, HasSubstr("max_parked"));
}

TEST(Credit, ChoicesAreParkedEachOnItsOwn) {
  Harness h(Harness::limits());
  Request request = slow_request(1, 6, 12, 5);
  request.n = 2;
  Request again = request;
  again.resumed.resize(2);
  again.resumed[0].ids = undisturbed(request, 0);
  again.resumed[0].ids.resize(5);  // has no credit as it comes
  again.resumed[1].ids = undisturbed(request, 1);
  again.resumed[1].ids.resize(3);
  h.scheduler.add(again, h.now);
  h.run();
  EXPECT_THAT(h.ids(1, 0), SizeIs(0));
  EXPECT_THAT(h.ids(1, 1), SizeIs(2));
  h.scheduler.credit(AttemptId{1}, 12);
  h.run();
  EXPECT_THAT(h.all<Done>(1)[0].usage.generated, ElementsAre(12, 12));
  EXPECT_EQ(h.ids(1, 1).back(), undisturbed(request, 1).back());
  EXPECT_EQ(h.ids(1, 0).back(), undisturbed(request, 0).back());
}

TEST(Credit, WhoHasNoneAsItComesWaitsForIt) {
  Harness h(Harness::limits());
  Request request = slow_request(1, 6, 12, 2);
  Request again = request;
  again.resumed.resize(1);
  again.resumed[0].ids = undisturbed(request);
  again.resumed[0].ids.resize(4);
  h.scheduler.add(again, h.now);
  EXPECT_EQ(h.plan(), nullptr);
  EXPECT_FALSE(h.scheduler.stats().work_pending);
  h.scheduler.credit(AttemptId{1}, 12);
  h.run();
  EXPECT_THAT(h.ids(1), SizeIs(8));
}

TEST(Credit, HoldsWithStepsInFlight) {
  Harness h(Harness::limits(64, 2));
  const Request request = slow_request(1, 6, 12, 3);
  h.scheduler.add(request, h.now);
  ASSERT_NE(h.plan(), nullptr);
  ASSERT_NE(h.plan(), nullptr);  // the second token
  h.commit();
  ASSERT_NE(h.plan(), nullptr);  // the third
  h.commit();
  EXPECT_EQ(h.plan(), nullptr);  // there is no credit for a fourth
  h.commit();
  EXPECT_EQ(h.scheduler.stats().parked, 1);
  h.scheduler.credit(AttemptId{1}, 12);
  while (h.plan() != nullptr) h.commit();
  EXPECT_EQ(h.ids(1), undisturbed(request));
}

TEST(Credit, CancelAndDeadlineEndWhatIsParked) {
  Harness h(Harness::limits());
  h.scheduler.add(slow_request(1, 6, 12, 3), h.now);
  Request late = slow_request(2, 6, 12, 3);
  late.deadline = h.now + std::chrono::seconds(1);
  h.scheduler.add(late, h.now);
  h.run();
  EXPECT_EQ(h.scheduler.stats().parked, 2);
  EXPECT_EQ(h.scheduler.next_deadline(), late.deadline);
  h.scheduler.cancel(AttemptId{1}, {}, h.now);
  h.now += std::chrono::seconds(2);
  EXPECT_EQ(h.plan(), nullptr);
  EXPECT_EQ(h.all<ChoiceEnd>(1)[0].end_offset, 3);
  EXPECT_EQ(h.all<Failed>(2)[0].fault, Fault::deadline);
  EXPECT_EQ(h.scheduler.kv().held_count(), 0);
}

}  // namespace
}  // namespace bessemer
