// A lane that is lost and one that goes on, attempts that are handed off, grants.
#include "tests/service/session_fixture.h"

namespace bessemer::testing {
namespace {

TEST_F(SessionTest, AttachGoesOnBehindWhatTheRouterHas) {
  hello({Feature::attach});
  v1::Start first = small_start(1);
  first.set_epoch(3);
  start(first);
  event(0, Admitted{});
  event(0, Tokens{0, 0, {8, 9}, {}});
  lose_lane({of_first(Tokens{0, 2, {10}, {}})});
  attach(1, first, {1});
  const v1::StepBatch missed = said();
  ASSERT_EQ(missed.before_size(), 1);
  EXPECT_TRUE(missed.before(0).has_admitted());
  EXPECT_THAT(missed.attempt(), ElementsAre(1));
  EXPECT_THAT(missed.offset(), ElementsAre(1));
  EXPECT_THAT(missed.ids(), ElementsAre(9, 10));
  event(0, Tokens{0, 3, {11}, {}});
  event(0, ChoiceEnd{0, EndReason::length, -1, 4});
  event(0, Done{.usage = {.prompt = 3, .generated = {4}}, .timing = {}});
  const v1::StepBatch rest = said();
  EXPECT_THAT(rest.offset(), ElementsAre(3));
  EXPECT_TRUE(rest.after(1).has_done());
  EXPECT_EQ(core().attempts(), 0u);
  EXPECT_THAT(host_.cancelled, IsEmpty());
}

TEST_F(SessionTest, AttachTellsTheEndThatWasMissed) {
  hello({Feature::attach});
  const v1::Start first = small_start(1);
  start(first);
  event(0, Tokens{0, 0, {8, 9}, {}});
  lose_lane({of_first(ChoiceEnd{0, EndReason::stop, 2, 2}),
             of_first(Done{.usage = {.prompt = 3, .generated = {2}}, .timing = {}})});
  attach(1, first, {2});
  const v1::StepBatch missed = said();
  EXPECT_EQ(missed.attempt_size(), 0);
  ASSERT_EQ(missed.after_size(), 2);
  EXPECT_EQ(missed.after(0).choice_end().stop_id(), 2u);
  EXPECT_TRUE(missed.after(1).has_done());
  EXPECT_EQ(core().attempts(), 0u);
}

TEST_F(SessionTest, WhatAClosedLaneHearsIsForTheNextOne) {
  limits_.max_pending_bytes = 100;
  hello({Feature::attach});
  const v1::Start first = small_start(1);
  start(first);
  int32_t offset = 0;
  while (!core().closed()) event(0, Tokens{0, offset++, {1}, {}});
  event(0, Tokens{0, offset, {7}, {}});
  limits_.max_pending_bytes = 4 << 20;
  lose_lane();
  attach(1, first, {static_cast<uint32_t>(offset)});
  EXPECT_THAT(said().ids(), ElementsAre(7));
}

TEST_F(SessionTest, AttachRefusesWhatItCannotGoOnWith) {
  hello({Feature::attach});
  const v1::Start first = small_start(1);
  start(first);
  event(0, Tokens{0, 0, {8, 9}, {}});
  lose_lane();
  v1::Start other = first;
  other.set_epoch(1);
  attach(1, other, {0});
  EXPECT_EQ(rejection().reason(), v1::REJECT_NOT_FOUND);
  EXPECT_THAT(host_.abandoned, IsEmpty());  // it may still be asked for
  attach(2, first, {3});                    // more than was ever said
  EXPECT_EQ(rejection().reason(), v1::REJECT_NOT_FOUND);
  EXPECT_THAT(host_.abandoned, ElementsAre(host_.submitted[0].id));
  attach(3, first, {0});
  EXPECT_EQ(rejection().reason(), v1::REJECT_NOT_FOUND);
  attach(3, first, {0});
  EXPECT_THAT(closed(), HasSubstr("does not rise"));
}

TEST_F(SessionTest, AttachOfAnEpochThatWasReplacedIsStale) {
  hello({Feature::attach});
  const v1::Start first = small_start(1);
  start(first);
  lose_lane();
  v1::Start later = first;
  later.set_epoch(1);
  start(later);
  attach(2, first, {0});
  EXPECT_EQ(rejection().reason(), v1::REJECT_STALE_EPOCH);
  EXPECT_THAT(host_.abandoned, ElementsAre(host_.submitted[0].id));
}

TEST_F(SessionTest, ChoicesThatTheRouterHasGivenUpAreCancelledWithTheAttach) {
  hello({Feature::attach});
  v1::Start first = small_start(1);
  first.mutable_generate()->set_n(3);
  start(first);
  event(0, ChoiceEnd{1, EndReason::stop, 2, 0});
  lose_lane();
  attach(1, first, {0, kEndHeard, kEndHeard});
  const v1::StepBatch missed = said();
  EXPECT_EQ(missed.after_size(), 0);  // the end of choice 1 was heard
  ASSERT_EQ(host_.cancelled.size(), 1u);
  EXPECT_THAT(host_.cancelled[0].second, ElementsAre(2));
}

TEST_F(SessionTest, AnAttemptCanBeGivenUpToAnotherLane) {
  hello({Feature::attach});
  start(small_start(1));
  start(chunked_start(2, 2));
  event(0, Tokens{0, 0, {8}, {}});
  said();
  const AttemptId id = host_.submitted[0].id;
  const auto orphan = core().give_up(id);
  ASSERT_TRUE(orphan);
  EXPECT_EQ(orphan->tail.next(0), 1);
  EXPECT_FALSE(core().give_up(id));
  EXPECT_FALSE(core().on_event(9, of_first(Tokens{0, 1, {9}, {}}), now_));
  EXPECT_EQ(said().attempt_size(), 0);
  EXPECT_EQ(core().attempts(), 1u);  // the other one, whose input is not complete
}

TEST_F(SessionTest, WithoutTheFeatureNothingIsKept) {
  hello();
  start(small_start(1));
  EXPECT_FALSE(core().is_attachable());
  event(0, Tokens{0, 0, {8}, {}});
  core().on_hang_up();
  const auto orphans = core().take_orphans();
  ASSERT_EQ(orphans.size(), 1u);
  EXPECT_FALSE(orphans[0].tail.since(std::vector<uint32_t>{0}, orphans[0].id));
}

TEST_F(SessionTest, AnInputThatWasStillArrivingMayBeStartedAgain) {
  hello({Feature::attach});
  v1::Start part = chunked_start(1, 2);
  start(part);
  core().on_hang_up();
  EXPECT_THAT(core().take_orphans(), IsEmpty());
  core_.reset();
  hello();
  start(part);
  chunk(1, 0, {6}, true);
  EXPECT_EQ(host_.submitted.size(), 1u);
}

TEST_F(SessionTest, AStoppedEngineHandsOff) {
  hello({Feature::handoff});
  v1::Start first = small_start(1);
  first.mutable_generate()->set_n(2);
  first.mutable_resume()->add_choices()->add_ids(5);
  first.mutable_resume()->add_choices();
  start(first);
  event(0, Tokens{0, 1, {8, 9}, {}});
  event(0, Failed{Fault::shutdown, "the engine was stopped"});
  const v1::StepBatch batch = said();
  ASSERT_EQ(batch.after_size(), 1);
  EXPECT_THAT(batch.after(0).handoff().next_offset(), ElementsAre(3, 0));
  EXPECT_EQ(core().attempts(), 0u);
}

TEST_F(SessionTest, ARouterWithoutHandoffHearsOfAFailure) {
  hello();
  start(small_start(1));
  event(0, Failed{Fault::shutdown, "the engine was stopped"});
  EXPECT_TRUE(said().after(0).failed().elsewhere());
}

TEST_F(SessionTest, ARouterMayAskForAHandoff) {
  hello({Feature::handoff});
  v1::Start first = small_start(1);
  first.mutable_generate()->set_n(2);
  start(first);
  event(0, Tokens{0, 0, {8, 9}, {}});
  event(0, ChoiceEnd{0, EndReason::stop, 2, 2});
  v1::RouterFrame frame;
  frame.mutable_cancel()->set_attempt(1);
  frame.mutable_cancel()->set_reason(kCancelToHandOff);
  core().on_frame(frame, now_);
  ASSERT_EQ(host_.cancelled.size(), 1u);
  event(0, Tokens{1, 0, {7}, {}});  // was on its way
  event(0, ChoiceEnd{1, EndReason::cancelled, -1, 1});
  event(0, Done{.usage = {.prompt = 3, .generated = {2, 1}}, .timing = {}});
  const v1::StepBatch batch = said();
  ASSERT_EQ(batch.after_size(), 2);
  EXPECT_EQ(batch.after(0).choice_end().reason(), v1::END_STOP);
  EXPECT_THAT(batch.after(1).handoff().next_offset(), ElementsAre(2, 1));
}

TEST_F(SessionTest, WhatEndsBeforeItCanBeHandedOffIsDone) {
  hello({Feature::handoff});
  start(small_start(1));
  v1::RouterFrame frame;
  frame.mutable_cancel()->set_attempt(1);
  frame.mutable_cancel()->set_reason(kCancelToHandOff);
  core().on_frame(frame, now_);
  event(0, ChoiceEnd{0, EndReason::stop, 2, 0});
  event(0, Done{.usage = {.prompt = 3, .generated = {0}}, .timing = {}});
  EXPECT_TRUE(said().after(1).has_done());
}

TEST_F(SessionTest, GrantsRiseAsTheLaneBringsWork) {
  host_.share = {10, 2};
  hello({Feature::grant});
  const auto granted = [&]() -> std::optional<v1::Grant> {
    std::optional<v1::Grant> last;
    for (v1::WorkerFrame frame; core().next_frame(frame);) {
      if (frame.has_grant()) last = frame.grant();
    }
    return last;
  };
  const auto first = granted();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->tokens_until(), 10u);
  EXPECT_EQ(first->attempts_until(), 2u);
  core().on_tick(now_ += milliseconds(100));
  EXPECT_FALSE(granted());  // nothing was brought
  now_ += milliseconds(10);
  start(small_start(1, std::vector<uint32_t>(30, 5)));
  const auto second = granted();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->tokens_until(), 40u);
  host_.share = {};
  now_ += milliseconds(10);
  start(small_start(2, std::vector<uint32_t>(30, 5)));
  EXPECT_FALSE(granted());  // the queue is full
  host_.share = {5, 1};
  core().on_tick(now_ += milliseconds(10));
  const auto third = granted();
  ASSERT_TRUE(third);
  EXPECT_EQ(third->tokens_until(), 65u);
}

TEST_F(SessionTest, ARouterThatKeepsToNoGrantHearsOfNone) {
  host_.share = {10, 2};
  hello();
  for (v1::WorkerFrame frame; core().next_frame(frame);) EXPECT_FALSE(frame.has_grant());
}

}  // namespace
}  // namespace bessemer::testing
