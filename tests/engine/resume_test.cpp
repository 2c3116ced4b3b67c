// Requests that have run elsewhere before (Request::resumed), case by case.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/harness.h"

namespace bessemer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<int32_t> undisturbed(const Request& request, int32_t choice = 0) {
  return fake::answer(request, choice, 1000, 128).ids;
}

std::vector<int32_t> rest_of(const Request& request, int32_t choice, size_t delivered) {
  std::vector<int32_t> ids = undisturbed(request, choice);
  ids.erase(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(delivered));
  return ids;
}

// `request` after each choice has delivered so many tokens elsewhere.
Request interrupted(const Request& request, std::vector<size_t> delivered) {
  Request again = request;
  for (size_t i = 0; i < delivered.size(); ++i) {
    Resumed& before = again.resumed.emplace_back();
    before.ids = undisturbed(request, static_cast<int32_t>(i));
    before.ids.resize(delivered[i]);
  }
  return again;
}

TEST(Resume, GoesOnWhereItWasInterrupted) {
  Harness h(Harness::limits());
  Request request = Harness::request(1, 10, 20);
  request.top_logprobs = 1;
  h.scheduler.add(interrupted(request, {7}), h.now);
  h.run();
  EXPECT_EQ(h.ids(1), rest_of(request, 0, 7));
  const auto tokens = h.all<Tokens>(1);
  ASSERT_THAT(tokens, SizeIs(13));
  EXPECT_EQ(tokens[0].offset, 7);
  const auto expected = fake::answer(request, 0, 1000, 128).logprobs;
  EXPECT_EQ(tokens[0].logprobs[1].value, expected[15].value);
  EXPECT_EQ(h.all<ChoiceEnd>(1)[0].end_offset, 20);
  const Usage usage = h.all<Done>(1)[0].usage;
  EXPECT_EQ(usage.prompt, 10);
  EXPECT_THAT(usage.generated, ElementsAre(20));
  EXPECT_EQ(usage.recomputed, 16);  // all but the row that the next token is drawn from
}

TEST(Resume, ThePromptIsComputedOnceWhateverEachChoiceHasDelivered) {
  Harness h(Harness::limits());
  Request request = Harness::request(1, 11, 12);
  request.n = 3;
  h.scheduler.add(interrupted(request, {9, 2, 5}), h.now);
  const StepPlan* plan = h.plan();
  ASSERT_NE(plan, nullptr);
  ASSERT_THAT(plan->work, SizeIs(1));
  EXPECT_EQ(plan->work[0].count, 13);  // of the choice that has delivered least
  EXPECT_EQ(plan->open[0].choice, 1);
  h.commit();
  h.run();
  EXPECT_EQ(h.ids(1, 0), rest_of(request, 0, 9));
  EXPECT_EQ(h.ids(1, 1), rest_of(request, 1, 2));
  EXPECT_EQ(h.ids(1, 2), rest_of(request, 2, 5));
  // All known rows but those that are drawn from; the prompt's last row is each choice's own.
  EXPECT_EQ(h.scheduler.stats().tokens_prefilled, (11u + 2u - 1u) + 9u + 5u);
}

TEST(Resume, ChoicesThatHadEndedAreNotRunAgain) {
  Harness h(Harness::limits());
  Request request = Harness::request(1, 5, 8);
  request.n = 2;
  Request again = interrupted(request, {3, 4});
  again.resumed[0].ended = true;
  h.scheduler.add(again, h.now);
  h.run();
  EXPECT_THAT(h.ids(1, 0), IsEmpty());
  EXPECT_EQ(h.ids(1, 1), rest_of(request, 1, 4));
  ASSERT_THAT(h.all<ChoiceEnd>(1), SizeIs(1));
  EXPECT_EQ(h.all<ChoiceEnd>(1)[0].choice, 1);
  EXPECT_THAT(h.all<Done>(1)[0].usage.generated, ElementsAre(3, 8));
}

TEST(Resume, AChoiceWhoseEndWasLostEndsAtOnce) {
  Harness h(Harness::limits());
  const Request request = Harness::request(1, 5, 8);
  h.scheduler.add(interrupted(request, {8}), h.now);
  EXPECT_EQ(h.run(), 0);
  ASSERT_THAT(h.all<ChoiceEnd>(1), SizeIs(1));
  EXPECT_EQ(h.all<ChoiceEnd>(1)[0].reason, EndReason::length);
  EXPECT_EQ(h.all<ChoiceEnd>(1)[0].end_offset, 8);
  ASSERT_THAT(h.all<Done>(1), SizeIs(1));
  EXPECT_EQ(h.scheduler.kv().held_count(), 0);
}

TEST(Resume, WhereEveryChoiceHadEndedOnlyDoneIsLeft) {
  Harness h(Harness::limits());
  Request again = interrupted(Harness::request(1, 5, 8), {3});
  again.resumed[0].ended = true;
  h.scheduler.add(again, h.now);
  EXPECT_EQ(h.run(), 0);
  EXPECT_THAT(h.all<Admitted>(1), SizeIs(1));
  EXPECT_THAT(h.all<ChoiceEnd>(1), IsEmpty());
  EXPECT_THAT(h.all<Done>(1)[0].usage.generated, ElementsAre(3));
}

TEST(Resume, AStopThatWasNotHeardOfIsDrawnAgain) {
  Harness h(Harness::limits());
  Request request = Harness::request(1, 5, 20);
  const std::vector<int32_t> free = undisturbed(request);
  request.sampling.stop_ids = append(request.tokens, std::vector<int32_t>{free[6]});
  request.sampling.min_tokens = 5;  // counted from the prompt, not from where it goes on
  h.scheduler.add(interrupted(request, {6}), h.now);
  h.run();
  EXPECT_THAT(h.ids(1), IsEmpty());
  ASSERT_THAT(h.all<ChoiceEnd>(1), SizeIs(1));
  EXPECT_EQ(h.all<ChoiceEnd>(1)[0].stop_id, free[6]);
  EXPECT_EQ(h.all<ChoiceEnd>(1)[0].end_offset, 6);
}

TEST(Resume, WhatTheCacheHasIsNotComputedAgain) {
  Harness h(Harness::limits());
  const Request request = Harness::request(1, 10, 20);
  h.scheduler.add(request, h.now);
  h.run();
  Request again = interrupted(request, {9});
  again.id = AttemptId{2};
  h.scheduler.add(again, h.now);
  h.run();
  EXPECT_EQ(h.ids(2), rest_of(request, 0, 9));
  const Usage usage = h.all<Done>(2)[0].usage;
  EXPECT_EQ(usage.cached, 10);     // of the prompt
  EXPECT_EQ(usage.recomputed, 2);  // rows 16 and 17: the cache has full blocks of 4
}

TEST(Resume, TheBacklogIsAllThatMustBeComputed) {
  Harness h(Harness::limits(), {.step_tokens = 8});
  Request request = Harness::request(1, 11, 12);
  request.n = 2;
  h.scheduler.add(interrupted(request, {9, 2}), h.now);
  EXPECT_EQ(h.scheduler.stats().backlog_tokens, 11 + 2 + 9);
  h.step();
  EXPECT_EQ(h.scheduler.stats().backlog_tokens, 3 + 2 + 9);
  EXPECT_EQ(h.all<Progress>(1)[0].prefilled, 8);
  h.run();
  EXPECT_EQ(h.scheduler.stats().backlog_tokens, 0);
}

TEST(Resume, WhatNoRunCouldHaveDeliveredIsRefused) {
  Harness h(Harness::limits());
  const auto refusal = [&](Request request) {
    const auto before = h.all<Rejected>(1).size();
    h.scheduler.add(std::move(request), h.now);
    h.plan();
    const auto all = h.all<Rejected>(1);
    return all.size() > before ? all.back().detail : "none";
  };
  const Request request = Harness::request(1, 5, 8);
  Request many = interrupted(request, {2});
  many.n = 2;
  EXPECT_THAT(refusal(many), HasSubstr("1 choices of a request with n = 2"));
  Request scored = interrupted(request, {2});
  scored.prompt_logprobs = 0;
  EXPECT_THAT(refusal(scored), HasSubstr("prompt_logprobs"));
  Request unknown = interrupted(request, {2});
  unknown.resumed[0].ids[1] = 1000;
  EXPECT_THAT(refusal(unknown), HasSubstr("delivered token 1 is id 1000"));
  Request longer = interrupted(request, {8});
  longer.max_tokens = 7;
  EXPECT_THAT(refusal(longer), HasSubstr("more than the 7"));
}

}  // namespace
}  // namespace bessemer
