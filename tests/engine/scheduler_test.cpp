// What each step contains, case by case; simulation_test.cpp covers the combinations.
#include "worker/engine/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/harness.h"

namespace bessemer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

int32_t rows_of(const StepPlan& plan) {
  int32_t rows = 0;
  for (const Work& work : plan.work) rows += work.count;
  return rows;
}

std::vector<int32_t> undisturbed(const Request& request, int32_t choice = 0) {
  return fake::answer(request, choice, 1000, 128).ids;
}

TEST(Scheduler, ALongPromptNeverStallsARunningChoice) {
  Harness h(Harness::limits(), {.step_tokens = 16});
  h.scheduler.add(Harness::request(1, 3, 40), h.now);
  ASSERT_TRUE(h.step());
  Request prompt = Harness::request(2, 100, 5);
  prompt.priority = 1;  // it comes first in the order, and yet takes no running choice's row
  h.scheduler.add(prompt, h.now);
  int steps = 0;
  while (h.ids(2).empty()) {
    const size_t before = h.ids(1).size();
    const StepPlan* plan = h.plan();
    ASSERT_NE(plan, nullptr);
    EXPECT_LE(rows_of(*plan), 16);
    h.commit();
    EXPECT_EQ(h.ids(1).size(), before + 1);
    ++steps;
  }
  EXPECT_EQ(steps, 7);  // 100 rows at 15 a step
  EXPECT_THAT(h.all<Progress>(2), SizeIs(6));
}

TEST(Scheduler, ChoicesShareThePromptAndCopyItsLastBlock) {
  Harness h(Harness::limits());
  Request request = Harness::request(1, 11, 3);  // rows 0-7 in full blocks, 8-10 in a partial one
  request.n = 3;
  h.scheduler.add(request, h.now);
  EXPECT_EQ(rows_of(*h.plan()), 11);
  h.commit();
  const StepPlan& fork = *h.plan();
  ASSERT_THAT(fork.open, SizeIs(2));
  ASSERT_THAT(fork.moves, SizeIs(2));
  EXPECT_EQ(fork.moves[0].from, fork.moves[1].from);
  EXPECT_NE(fork.moves[0].to, fork.moves[1].to);
  EXPECT_EQ(rows_of(fork), 3);  // the leader's second token, and the last prompt row twice
  h.commit();
  EXPECT_EQ(h.scheduler.kv().held_count(), 5);  // two shared blocks, three of their own
  h.run();
  for (int32_t choice = 0; choice < 3; ++choice) {
    EXPECT_EQ(h.ids(1, choice), undisturbed(request, choice)) << choice;
  }
  EXPECT_EQ(h.scheduler.kv().held_count(), 0);
}

TEST(Scheduler, NothingIsCopiedWhereTheLastRowBeginsABlock) {
  Harness h(Harness::limits());
  Request request = Harness::request(1, 9, 3);  // row 8 is the first of its block
  request.n = 2;
  h.scheduler.add(request, h.now);
  h.step();
  EXPECT_TRUE(h.plan()->moves.empty());
  h.commit();
  h.run();
  EXPECT_EQ(h.ids(1, 1), undisturbed(request, 1));
}

TEST(Scheduler, TheNextStepIsPlannedBeforeTheTokenIsKnown) {
  Harness h(Harness::limits(64, 2));
  Request request = Harness::request(1, 5, 4);
  h.scheduler.add(request, h.now);
  ASSERT_NE(h.plan(), nullptr);
  const StepPlan* second = h.plan();
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->work[0].begin, kAtLength);
  EXPECT_EQ(h.plan(), nullptr);  // two in flight
  while (!h.launched.empty()) {
    h.commit();
    h.plan();
  }
  EXPECT_EQ(h.ids(1), undisturbed(request));
  EXPECT_EQ(h.scheduler.stats().steps, 4u);  // no step beyond max_tokens
}

TEST(Scheduler, WhatComesBackAfterTheStopIsDropped) {
  Harness h(Harness::limits(64, 2));
  Request request = Harness::request(1, 5, 50);
  const std::vector<int32_t> whole = undisturbed(request);
  request.sampling.stop_ids = append(request.tokens, std::vector<int32_t>{whole[3]});
  h.scheduler.add(request, h.now);
  h.plan();
  h.plan();
  while (h.all<Done>(1).empty()) {
    h.commit();
    h.plan();
  }
  EXPECT_EQ(h.ids(1), std::vector<int32_t>(whole.begin(), whole.begin() + 3));
  EXPECT_EQ(h.all<ChoiceEnd>(1)[0].reason, EndReason::stop);
  EXPECT_EQ(h.all<ChoiceEnd>(1)[0].stop_id, whole[3]);
  EXPECT_EQ(h.all<ChoiceEnd>(1)[0].end_offset, 3);
  EXPECT_EQ(h.all<Done>(1)[0].usage.generated[0], 3);
  EXPECT_GT(h.scheduler.kv().held_count(), 0);  // the surplus step is still out (E4)
  const size_t events = h.events.size();
  while (!h.launched.empty()) h.commit();
  EXPECT_EQ(h.events.size(), events);
  EXPECT_EQ(h.scheduler.kv().held_count(), 0);
}

TEST(Scheduler, UnderPressureTheNewestOfTheLowestPriorityGivesWay) {
  Harness h(Harness::limits(12));  // 48 tokens
  std::vector<Request> requests;
  for (uint64_t id = 1; id <= 3; ++id) requests.push_back(Harness::request(id, 9, 30));
  requests[2].priority = 1;  // the newest, but first in the order
  for (const Request& request : requests) h.scheduler.add(request, h.now);
  while (h.scheduler.stats().preemptions == 0) ASSERT_TRUE(h.step());
  EXPECT_TRUE(h.all<Done>(1).empty());
  h.run();
  for (const Request& request : requests) {
    const uint64_t id = static_cast<uint64_t>(request.id);
    EXPECT_EQ(h.ids(id), undisturbed(request)) << id;
    const Done done = h.all<Done>(id)[0];
    EXPECT_EQ(done.timing.preemptions > 0, done.usage.recomputed > 0) << id;
    EXPECT_EQ(done.timing.preemptions > 0, id != 3) << id;
  }
}

TEST(Scheduler, AnUrgentRequestDisplacesALessUrgentOne) {
  Limits limits = Harness::limits();
  limits.slots = 1;
  Harness h(limits);
  Request slow = Harness::request(1, 5, 40), urgent = Harness::request(2, 5, 3);
  urgent.priority = 5;
  h.scheduler.add(slow, h.now);
  h.step();
  h.step();
  h.scheduler.add(urgent, h.now);
  for (int i = 0; i < 3; ++i) h.step();
  EXPECT_EQ(h.ids(2), undisturbed(urgent));
  EXPECT_EQ(h.ids(1).size(), 2u);
  h.run();
  EXPECT_EQ(h.ids(1), undisturbed(slow));
}

TEST(Scheduler, PromptLogprobsRunInSlicesOfTheLogitBudget) {
  Limits limits = Harness::limits();
  limits.logit_rows = 4;
  Harness h(limits);
  Request request = Harness::request(1, 10, 2);
  request.prompt_logprobs = 2;
  h.scheduler.add(request, h.now);
  std::vector<int32_t> counts;
  while (const StepPlan* plan = h.plan()) {
    counts.push_back(plan->work[0].count);
    h.commit();
  }
  EXPECT_THAT(counts, ElementsAre(4, 4, 2, 1));
  std::vector<Logprob> scores;
  for (const PromptScores& part : h.all<PromptScores>(1)) append(scores, part.logprobs);
  const std::vector<Logprob> expected = fake::prompt_scores(request);
  ASSERT_EQ(scores.size(), expected.size());
  for (size_t i = 0; i < scores.size(); ++i) EXPECT_EQ(scores[i].value, expected[i].value);
}

TEST(Scheduler, RefusesWithNumbers) {
  Harness h(Harness::limits(4), {.max_waiting = 1});  // 16 tokens of KV
  const auto refusal = [&](Request request) {
    h.scheduler.add(request, h.now);
    h.plan();  // collects the events; nothing is committed
    const auto rejected = h.all<Rejected>(static_cast<uint64_t>(request.id));
    return rejected.empty() ? Rejected{} : rejected[0];
  };
  Request request = Harness::request(1, 128, 1);
  EXPECT_EQ(refusal(request).reason, RejectReason::too_large);
  EXPECT_THAT(refusal(request).detail,
              HasSubstr("128 tokens; prompt and answer together may have 128"));
  request = Harness::request(2, 10, 10);
  EXPECT_EQ(refusal(request).reason, RejectReason::too_large);
  EXPECT_THAT(refusal(request).detail,
              HasSubstr("need 5 KV blocks of 4 tokens in group 0; there are 4"));
  request = Harness::request(3, 3, 0);
  EXPECT_THAT(refusal(request).detail, HasSubstr("max_tokens is 0"));
  request = Harness::request(4, 0, 1);
  EXPECT_THAT(refusal(request).detail, HasSubstr("at least one"));
  request = Harness::request(5, 3, 1);
  request.prompt[1] = 1000;
  EXPECT_THAT(refusal(request).detail,
              HasSubstr("prompt token 1 is id 1000, outside the vocabulary of 1000"));
  request = Harness::request(6, 3, 1);
  request.n = 0;
  EXPECT_THAT(refusal(request).detail, HasSubstr("n is 0"));
  request = Harness::request(7, 3, 1);
  request.sampling.top_p = 0;
  EXPECT_EQ(refusal(request).reason, RejectReason::bad_input);
  EXPECT_THAT(refusal(request).detail, HasSubstr("top_p"));
}

TEST(Scheduler, TheQueueIsBounded) {
  Harness h(Harness::limits(), {.max_waiting = 2});
  for (uint64_t id = 1; id <= 3; ++id) h.scheduler.add(Harness::request(id, 3, 2), h.now);
  h.plan();
  EXPECT_EQ(h.all<Admitted>(2)[0].queue_position, 1);
  EXPECT_EQ(h.all<Admitted>(2)[0].backlog_tokens, 3);
  ASSERT_THAT(h.all<Rejected>(3), SizeIs(1));
  EXPECT_EQ(h.all<Rejected>(3)[0].reason, RejectReason::queue_full);
}

TEST(Scheduler, DrainingRejectsAndFinishes) {
  Harness h(Harness::limits());
  h.scheduler.add(Harness::request(1, 3, 2), h.now);
  h.scheduler.drain();
  h.scheduler.add(Harness::request(2, 3, 2), h.now);
  h.run();
  EXPECT_EQ(h.all<Rejected>(2)[0].reason, RejectReason::draining);
  EXPECT_THAT(h.all<Done>(1), SizeIs(1));
}

TEST(Scheduler, AnOutcomesFaultFailsItsRequestAlone) {
  Harness h(Harness::limits());
  const Request bad = Harness::request(1, 5, 6), good = Harness::request(2, 5, 6);
  h.scheduler.add(bad, h.now);
  h.scheduler.add(good, h.now);
  h.plan();
  StepResult result = h.device.execute(h.launched.front());
  result.outcomes[0] = {{}, {}, {}, Fault::numeric};
  h.commit(result);
  h.run();
  EXPECT_EQ(h.all<Failed>(1)[0].fault, Fault::numeric);
  EXPECT_EQ(h.ids(2), undisturbed(good));
}

// The choice that computed the prompt is gone, but the others would go on with what it left.
TEST(Scheduler, AFaultInThePromptFailsThoseWhoShareIt) {
  for (const bool whole_step : {false, true}) {
    Harness h(Harness::limits());
    Request request = Harness::request(1, 9, 6);
    request.n = 2;
    h.scheduler.add(request, h.now);
    h.plan();
    h.scheduler.cancel(AttemptId{1}, std::vector<int32_t>{0}, h.now);
    StepResult result = h.device.execute(h.launched.front());
    h.device.spoil(0);
    if (whole_step) {
      result.fault = Fault::device;
      result.outcomes.clear();
    } else {
      result.outcomes[0] = {{}, {}, {}, Fault::numeric};
    }
    h.commit(result);
    h.run();
    ASSERT_THAT(h.all<Failed>(1), SizeIs(1));
    EXPECT_EQ(h.all<Failed>(1)[0].fault, whole_step ? Fault::device : Fault::numeric);
    EXPECT_TRUE(h.ids(1, 1).empty());
  }
}

TEST(Scheduler, AStepsFaultFailsThoseInIt) {
  Limits limits = Harness::limits();
  limits.slots = 1;
  Harness h(limits);
  h.scheduler.add(Harness::request(1, 5, 6), h.now);
  const Request waiting = Harness::request(2, 5, 6);
  h.scheduler.add(waiting, h.now);
  h.plan();
  h.commit(Fault::device);
  h.run();
  EXPECT_EQ(h.all<Failed>(1)[0].fault, Fault::device);
  EXPECT_EQ(h.ids(2), undisturbed(waiting));
}

TEST(Scheduler, ALostGroupFailsEverybodyAndTheNextRequestRuns) {
  Harness h(Harness::limits(64, 2));
  for (uint64_t id = 1; id <= 3; ++id) h.scheduler.add(Harness::request(id, 5, 6), h.now);
  h.plan();
  h.plan();
  h.commit(Fault::group_lost);
  for (uint64_t id = 1; id <= 3; ++id) {
    ASSERT_THAT(h.all<Failed>(id), SizeIs(1));
    EXPECT_EQ(h.all<Failed>(id)[0].fault, Fault::group_lost);
  }
  const Request next = Harness::request(4, 5, 6);
  h.scheduler.add(next, h.now);
  ASSERT_NE(h.plan(), nullptr);
  StepResult void_result;
  void_result.id = h.launched.front().id;
  void_result.fault = Fault::group_lost;
  h.commit(void_result);
  while (!h.launched.empty()) {
    h.plan();
    h.commit();
  }
  EXPECT_EQ(h.ids(4), undisturbed(next));
  EXPECT_EQ(h.scheduler.kv().held_count(), 0);
}

TEST(Scheduler, ChoicesAreCancelledOneByOne) {
  Harness h(Harness::limits());
  Request request = Harness::request(1, 30, 6);
  request.n = 3;
  h.scheduler.add(request, h.now);
  h.scheduler.cancel(AttemptId{1}, std::vector<int32_t>{0}, h.now);  // the prompt's leader
  h.run();
  EXPECT_EQ(h.ids(1, 0).size(), 0u);
  EXPECT_EQ(h.ids(1, 1), undisturbed(request, 1));
  EXPECT_EQ(h.ids(1, 2), undisturbed(request, 2));
  EXPECT_EQ(h.all<Done>(1)[0].usage.generated, (std::vector<int32_t>{0, 6, 6}));
  h.scheduler.cancel(AttemptId{1}, {}, h.now);  // long over
  h.scheduler.cancel(AttemptId{77}, {}, h.now);
  h.plan();
  EXPECT_THAT(h.all<Done>(1), SizeIs(1));
}

TEST(Scheduler, DeadlinesEndWaitingAndRunningRequests) {
  Limits limits = Harness::limits();
  limits.slots = 1;
  Harness h(limits);
  Request running = Harness::request(1, 5, 100), waiting = Harness::request(2, 5, 6);
  running.deadline = h.now + std::chrono::milliseconds(20);
  waiting.deadline = h.now + std::chrono::milliseconds(10);
  h.scheduler.add(running, h.now);
  h.scheduler.add(waiting, h.now);
  h.run();
  EXPECT_EQ(h.all<Failed>(1)[0].fault, Fault::deadline);
  EXPECT_EQ(h.all<Failed>(2)[0].fault, Fault::deadline);
  EXPECT_THAT(h.all<Failed>(2)[0].detail, HasSubstr("in the queue"));
  EXPECT_GT(h.ids(1).size(), 5u);
  EXPECT_EQ(h.scheduler.kv().held_count(), 0);
}

TEST(Scheduler, TheContextsEndIsAnEndByLength) {
  Harness h(Harness::limits());
  h.scheduler.add(Harness::request(1, 120, 1000), h.now);
  h.run();
  EXPECT_EQ(h.ids(1).size(), 8u);
  EXPECT_EQ(h.all<ChoiceEnd>(1)[0].reason, EndReason::length);
}

TEST(Scheduler, TimingAddsUp) {
  Limits limits = Harness::limits();
  limits.slots = 1;
  Harness h(limits);
  h.scheduler.add(Harness::request(1, 5, 10), h.now);
  h.scheduler.add(Harness::request(2, 5, 3), h.now);
  h.run();
  const Timing timing = h.all<Done>(2)[0].timing;
  EXPECT_GE(timing.queued_us, 20'000);  // ten steps of 2 ms
  EXPECT_EQ(timing.first_token_us, timing.queued_us + timing.prefill_us);
  EXPECT_EQ(timing.total_us, timing.first_token_us + 2 * 2000);
  EXPECT_EQ(h.all<Done>(2)[0].usage.prompt, 5);
}

bool same(const StepPlan& a, const StepPlan& b) {
  if (a.close != b.close || a.tokens != b.tokens || a.ints != b.ints || a.floats != b.floats ||
      a.work.size() != b.work.size()) {
    return false;
  }
  for (size_t i = 0; i < a.work.size(); ++i) {
    const Work &x = a.work[i], &y = b.work[i];
    if (x.slot != y.slot || x.begin != y.begin || x.count != y.count || x.want != y.want)
      return false;
  }
  return true;
}

TEST(Scheduler, TheSameCallsGiveTheSamePlans) {
  Harness a(Harness::limits(20)), b(Harness::limits(20));
  for (uint64_t id = 1; id <= 12; ++id) {
    Request request = Harness::request(id, 3 + static_cast<int32_t>(id) * 2, 9);
    request.n = 1 + static_cast<int32_t>(id % 3);
    a.scheduler.add(request, a.now);
    b.scheduler.add(request, b.now);
  }
  for (;;) {
    const StepPlan *x = a.plan(), *y = b.plan();
    ASSERT_EQ(x == nullptr, y == nullptr);
    if (x == nullptr) break;
    ASSERT_TRUE(same(*x, *y));
    a.commit();
    b.commit();
  }
  EXPECT_GT(a.scheduler.stats().preemptions, 0u);
}

}  // namespace
}  // namespace bessemer
