#include "worker/service/session_core.h"

#include "tests/service/session_fixture.h"

namespace bessemer::testing {
namespace {

TEST_F(SessionTest, SaysHelloFirst) {
  v1::WorkerFrame frame;
  ASSERT_TRUE(core().next_frame(frame));
  ASSERT_TRUE(frame.has_hello());
  EXPECT_EQ(frame.hello().incarnation(), 42u);
  EXPECT_EQ(frame.hello().max_attempts(), 3u);
  ASSERT_EQ(frame.hello().served_size(), 1);
  EXPECT_EQ(frame.hello().served(0).card_hash(), "c0ffee");
  EXPECT_FALSE(core().next_frame(frame));
}

TEST_F(SessionTest, ActsOnNothingBeforeThePeersHello) {
  start(small_start(1));
  EXPECT_THAT(closed(), HasSubstr("before Hello"));
  EXPECT_THAT(host_.submitted, IsEmpty());
}

TEST_F(SessionTest, RefusesAnotherProtocol) {
  v1::RouterFrame frame;
  frame.mutable_hello()->set_protocol_min(2);
  frame.mutable_hello()->set_protocol_max(3);
  core().on_frame(frame, now_);
  EXPECT_THAT(closed(), HasSubstr("2 to 3"));
}

TEST_F(SessionTest, CarriesAnAttemptFromStartToDone) {
  hello();
  start(small_start(7));
  ASSERT_EQ(host_.submitted.size(), 1u);
  event(0, Admitted{1, 20});
  event(0, Tokens{0, 0, {8, 9}, {}});
  event(0, ChoiceEnd{0, EndReason::stop, 2, 2});
  event(0, Done{.usage = {.prompt = 3, .generated = {2}}, .timing = {}});
  const v1::StepBatch batch = said();
  ASSERT_EQ(batch.before_size(), 1);
  EXPECT_EQ(batch.before(0).attempt(), 7u);
  EXPECT_EQ(batch.before(0).admitted().backlog_tokens(), 20u);
  EXPECT_THAT(batch.attempt(), ElementsAre(7));
  EXPECT_THAT(batch.count(), ElementsAre(2));
  EXPECT_THAT(batch.ids(), ElementsAre(8, 9));
  ASSERT_EQ(batch.after_size(), 2);
  EXPECT_EQ(batch.after(0).choice_end().stop_id(), 2u);
  EXPECT_EQ(batch.after(1).done().usage().prompt(), 3u);
  EXPECT_EQ(core().attempts(), 0u);
  event(0, Tokens{0, 2, {1}, {}});  // S1: nothing follows
  EXPECT_EQ(said().attempt_size(), 0);
}

TEST_F(SessionTest, ARefusalNamesItsReason) {
  hello();
  v1::Start bad = small_start(1);
  bad.mutable_generate()->mutable_grammar();
  start(bad);
  EXPECT_EQ(rejection().reason(), v1::REJECT_UNSUPPORTED);
  EXPECT_THAT(host_.submitted, IsEmpty());
  EXPECT_EQ(core().attempts(), 0u);
}

TEST_F(SessionTest, AFullEngineIsSaidAtOnceAndMayBeTriedAgain) {
  hello();
  host_.full = true;
  start(small_start(1));
  EXPECT_EQ(rejection().reason(), v1::REJECT_QUEUE_FULL);
  host_.full = false;
  v1::Start again = small_start(1);
  again.set_attempt(2);
  start(again);
  EXPECT_EQ(host_.submitted.size(), 1u);
}

TEST_F(SessionTest, AttemptsAreLimited) {
  hello();
  for (uint64_t i = 1; i <= 3; ++i) start(small_start(i));
  start(small_start(4));
  EXPECT_EQ(rejection().reason(), v1::REJECT_QUEUE_FULL);
  EXPECT_EQ(host_.submitted.size(), 3u);
}

TEST_F(SessionTest, StartIsIdempotent) {
  hello();
  start(small_start(1));
  start(small_start(1));
  EXPECT_EQ(host_.submitted.size(), 1u);
  EXPECT_EQ(said().before_size(), 0);
  EXPECT_EQ(closed(), "open");
}

TEST_F(SessionTest, HandlesMustRise) {
  hello();
  start(small_start(5));
  start(small_start(4));
  EXPECT_THAT(closed(), HasSubstr("does not rise"));
}

TEST_F(SessionTest, ALaterEpochReplacesAndAnEarlierIsStale) {
  hello();
  v1::Start first = small_start(1);
  first.set_epoch(2);
  start(first);
  v1::Start stale = first;
  stale.set_attempt(2);
  stale.set_epoch(1);
  start(stale);
  EXPECT_EQ(rejection().reason(), v1::REJECT_STALE_EPOCH);
  v1::Start same = first;
  same.set_attempt(3);
  start(same);
  EXPECT_EQ(rejection().reason(), v1::REJECT_STALE_EPOCH);
  v1::Start later = first;
  later.set_attempt(4);
  later.set_epoch(3);
  start(later);
  ASSERT_EQ(host_.submitted.size(), 2u);
  ASSERT_EQ(host_.cancelled.size(), 1u);
  EXPECT_EQ(host_.cancelled[0].first, host_.submitted[0].id);
}

TEST_F(SessionTest, AssemblesChunks) {
  hello();
  v1::Start part = small_start(1, {5});
  part.set_chunked(true);
  part.mutable_input()->set_total_ids(4);
  start(part);
  EXPECT_THAT(host_.submitted, IsEmpty());
  chunk(1, 0, {6, 7}, false);
  chunk(1, 1, {8}, true);
  ASSERT_EQ(host_.submitted.size(), 1u);
  EXPECT_THAT(host_.submitted[0].prompt, ElementsAre(5, 6, 7, 8));
}

TEST_F(SessionTest, AnAnnouncedSizeIsRefusedBeforeItArrives) {
  hello();
  v1::Start part = small_start(1, {5});
  part.set_chunked(true);
  part.mutable_input()->set_total_ids(1'000'000);
  start(part);
  EXPECT_EQ(rejection().reason(), v1::REJECT_TOO_LARGE);
  chunk(1, 0, {6}, false);  // was on its way
  EXPECT_EQ(closed(), "open");
}

TEST_F(SessionTest, InputsThatStillArriveAreLimited) {
  v1::Start part = chunked_start(1, 30);
  limits_.max_assembling_bytes = static_cast<int64_t>(part.SpaceUsedLong()) + 2 * 30 * 4;
  hello();
  start(part);
  start(chunked_start(2, 30));
  EXPECT_EQ(rejection().reason(), v1::REJECT_QUEUE_FULL);
  EXPECT_EQ(core().attempts(), 1u);
}

TEST_F(SessionTest, ParametersOfInputsThatStillArriveAreLimited) {
  hello();
  limits_.max_assembling_bytes = 64 << 10;
  v1::Start part = chunked_start(1, 30);
  for (int i = 0; i < 2000; ++i) part.mutable_generate()->add_banned()->add_ids(1);
  start(part);
  EXPECT_EQ(rejection().reason(), v1::REJECT_QUEUE_FULL);
}

TEST_F(SessionTest, ALaterEpochEndsTheOneWhoseInputStillArrives) {
  hello();
  v1::Start early = chunked_start(1, 2);
  start(early);
  v1::Start late = small_start(2, {5});
  late.set_request_id(early.request_id());
  late.set_epoch(early.epoch() + 1);
  start(late);
  chunk(1, 0, {6}, true);
  EXPECT_EQ(rejection().reason(), v1::REJECT_STALE_EPOCH);
  ASSERT_EQ(host_.submitted.size(), 1u);
  EXPECT_THAT(host_.submitted[0].prompt, ElementsAre(5));
}

TEST_F(SessionTest, TheDeadlineCountsFromStart) {
  hello();
  v1::Start part = chunked_start(1, 2);
  part.mutable_admission()->set_remaining_ms(1500);
  start(part);
  const TimePoint began = now_;
  now_ += milliseconds(1000);
  chunk(1, 0, {6}, true);
  ASSERT_EQ(host_.submitted.size(), 1u);
  EXPECT_EQ(host_.submitted[0].deadline, began + milliseconds(1500));
}

TEST_F(SessionTest, AnInputThatStallsIsRefusedAtItsDeadline) {
  hello();
  v1::Start part = chunked_start(1, 2);
  part.mutable_admission()->set_remaining_ms(1500);
  start(part);
  now_ += milliseconds(1499);
  core().on_tick(now_);
  EXPECT_EQ(core().attempts(), 1u);
  now_ += milliseconds(1);
  core().on_tick(now_);
  EXPECT_EQ(rejection().reason(), v1::REJECT_TOO_SLOW);
  EXPECT_EQ(core().attempts(), 0u);
  chunk(1, 0, {6}, true);  // was on its way
  EXPECT_EQ(closed(), "open");
}

TEST_F(SessionTest, WhatIsCancelledWhileItArrivesCountsAgainstASlowReader) {
  limits_.max_pending_bytes = 2000;
  hello();
  for (uint64_t i = 1; i <= 200 && !core().closed(); ++i) {
    start(chunked_start(i, 2));
    cancel(i);
  }
  EXPECT_THAT(closed(), HasSubstr("reads too slowly"));
}

TEST_F(SessionTest, AShortLeaseIsPingedInTime) {
  limits_.lease_ms = 600;
  hello();
  said();
  now_ += milliseconds(200);
  core().on_tick(now_);
  v1::WorkerFrame frame;
  ASSERT_TRUE(core().next_frame(frame));
  EXPECT_TRUE(frame.has_ping());
}

TEST_F(SessionTest, ChunksThatDoNotAddUpAreRefused) {
  hello();
  for (uint64_t i = 1; i <= 3; ++i) {
    v1::Start part = small_start(i, {5});
    part.set_chunked(true);
    part.mutable_input()->set_total_ids(3);
    start(part);
  }
  chunk(1, 0, {6, 7, 8}, true);
  EXPECT_THAT(rejection().detail(), HasSubstr("total_ids is 3 but 4"));
  chunk(2, 0, {6}, true);
  EXPECT_THAT(rejection().detail(), HasSubstr("total_ids is 3 but 2"));
  chunk(3, 1, {6}, false);
  EXPECT_THAT(rejection().detail(), HasSubstr("Chunk 1 came where 0 was due"));
  EXPECT_EQ(core().attempts(), 0u);
  EXPECT_EQ(closed(), "open");
}

TEST_F(SessionTest, WhatWasDeliveredMayComeInChunks) {
  facts_.max_len = 8;
  hello();
  v1::Start part = chunked_start(1, 2);
  part.mutable_resume()->add_choices()->add_ids(7);
  start(part);
  delivered_chunk(1, 0, 1, {8, 9}, false);
  chunk(1, 1, {6}, true);
  ASSERT_EQ(host_.submitted.size(), 1u);
  EXPECT_THAT(host_.submitted[0].prompt, ElementsAre(5, 6));
  EXPECT_THAT(host_.submitted[0].resumed[0].ids, ElementsAre(7, 8, 9));
  part.set_attempt(2);
  part.set_epoch(1);
  start(part);
  delivered_chunk(2, 0, 2, {8}, false);
  EXPECT_THAT(rejection().detail(), HasSubstr("part 2, of 1 choices"));
  part.set_attempt(3);
  start(part);
  delivered_chunk(3, 0, 1, {1, 2, 3, 4, 5, 6, 7, 8}, false);
  EXPECT_EQ(rejection().reason(), v1::REJECT_TOO_LARGE);
}

TEST_F(SessionTest, AChunkOfNothingEndsTheLane) {
  hello();
  chunk(9, 0, {1}, true);
  EXPECT_THAT(closed(), HasSubstr("not started"));
}

TEST_F(SessionTest, CancelGoesToTheEngine) {
  hello();
  start(small_start(1));
  cancel(1, {0, 0, 9});
  cancel(1, {9});  // no such choice: not "all"
  cancel(1);
  cancel(99);  // unknown: idempotent
  ASSERT_EQ(host_.cancelled.size(), 2u);
  EXPECT_THAT(host_.cancelled[0].second, ElementsAre(0));
  EXPECT_THAT(host_.cancelled[1].second, IsEmpty());
}

TEST_F(SessionTest, CancelWhileTheInputArrivesEndsTheAttempt) {
  hello();
  v1::Start part = small_start(1, {5});
  part.set_chunked(true);
  part.mutable_input()->set_total_ids(4);
  part.mutable_generate()->set_n(2);
  start(part);
  cancel(1);
  const v1::StepBatch batch = said();
  ASSERT_EQ(batch.after_size(), 3);
  EXPECT_EQ(batch.after(0).choice_end().reason(), v1::END_CANCELLED);
  EXPECT_TRUE(batch.after(2).has_done());
  chunk(1, 0, {6, 7, 8}, true);
  EXPECT_THAT(host_.submitted, IsEmpty());
  EXPECT_EQ(closed(), "open");
}

TEST_F(SessionTest, AResumeCancelledWhileItArrivesEndsWhereItWas) {
  hello();
  v1::Start part = chunked_start(1, 4);
  part.mutable_generate()->set_n(2);
  part.mutable_resume()->add_choices()->add_ids(5);
  part.mutable_resume()->add_choices()->set_end(v1::END_STOP);
  start(part);
  cancel(1);
  const v1::StepBatch batch = said();
  ASSERT_EQ(batch.after_size(), 2);
  EXPECT_EQ(batch.after(0).choice_end().end_offset(), 1u);
  EXPECT_THAT(batch.after(1).done().usage().generated(), ElementsAre(1, 0));
}

TEST_F(SessionTest, AChoiceCancelledWhileTheInputArrivesIsCancelledOnceItRuns) {
  hello();
  v1::Start part = small_start(1, {5});
  part.set_chunked(true);
  part.mutable_input()->set_total_ids(2);
  part.mutable_generate()->set_n(2);
  start(part);
  cancel(1, {1});
  chunk(1, 0, {6}, true);
  ASSERT_EQ(host_.submitted.size(), 1u);
  ASSERT_EQ(host_.cancelled.size(), 1u);
  EXPECT_THAT(host_.cancelled[0].second, ElementsAre(1));
}

TEST_F(SessionTest, CreditGoesToTheEngine) {
  hello();
  start(small_start(1));
  credit(1, 9);
  credit(1, UINT32_MAX);
  credit(2, 9);  // unknown: it may have ended
  ASSERT_EQ(host_.credited.size(), 2u);
  EXPECT_EQ(host_.credited[0], std::pair(host_.submitted[0].id, 9));
  EXPECT_EQ(host_.credited[1].second, INT32_MAX);
}

TEST_F(SessionTest, CreditThatComesBeforeTheInputIsCompleteGoesWithIt) {
  hello();
  v1::Start part = chunked_start(1, 2);
  part.set_send_until(3);
  start(part);
  start(chunked_start(2, 2));  // without a limit
  credit(1, 9);
  credit(1, 5);
  credit(2, 9);
  chunk(1, 0, {6}, true);
  chunk(2, 0, {6}, true);
  ASSERT_EQ(host_.submitted.size(), 2u);
  EXPECT_EQ(host_.submitted[0].send_until, 9);
  EXPECT_EQ(host_.submitted[1].send_until, 0);
  EXPECT_THAT(host_.credited, IsEmpty());
}

// The backlog alone decides here; the engine, which knows what is cached, has the last word.
TEST_F(SessionTest, RejectsWhatWouldTakeTooLong) {
  hello();
  host_.engine.prefill_tokens_per_s = 100;
  host_.engine.backlog_tokens = 97;
  v1::Start hasty = small_start(1);
  hasty.mutable_admission()->set_max_est_ttft_us(969'999);
  start(hasty);
  EXPECT_EQ(rejection().reason(), v1::REJECT_TOO_SLOW);
  v1::Start patient = small_start(2);
  patient.mutable_admission()->set_max_est_ttft_us(970'000);
  start(patient);
  v1::Start bounced = small_start(3);
  bounced.mutable_admission()->set_max_est_ttft_us(1);
  bounced.mutable_admission()->set_must_queue(true);
  start(bounced);
  ASSERT_EQ(host_.submitted.size(), 2u);
  EXPECT_EQ(host_.submitted[0].max_ttft_us, 970'000);
  EXPECT_EQ(host_.submitted[1].max_ttft_us, 0);
  event(0, Rejected{RejectReason::too_slow, "busy", 16, 980'000});
  const v1::Rejected said_no = rejection();
  EXPECT_EQ(said_no.reason(), v1::REJECT_TOO_SLOW);
  EXPECT_EQ(said_no.matched_tokens(), 16u);
  EXPECT_EQ(said_no.est_ttft_us(), 980'000u);
  event(1, Admitted{.est_ttft_us = 1'000'000});
  EXPECT_EQ(said().before(0).admitted().est_ttft_us(), 1'000'000u);
}

TEST_F(SessionTest, DrainingRejects) {
  hello();
  host_.drains = true;
  start(small_start(1));
  EXPECT_EQ(rejection().reason(), v1::REJECT_DRAINING);
}

TEST_F(SessionTest, FramesOfFeaturesNotOfferedEndTheLane) {
  hello();
  v1::RouterFrame frame;
  frame.mutable_kv_release();
  core().on_frame(frame, now_);
  EXPECT_THAT(closed(), HasSubstr("feature 25"));
}

TEST_F(SessionTest, PingsAreAnsweredOnceAndSentEachSecond) {
  hello();
  said();
  v1::RouterFrame frame;
  frame.mutable_ping()->set_nonce(5);
  frame.mutable_ping()->set_mono_us(123);
  core().on_frame(frame, now_);
  frame.mutable_ping()->set_reply(true);
  core().on_frame(frame, now_);
  host_.engine.work_pending = true;
  core().on_tick(now_ += milliseconds(1000));
  core().on_tick(now_ += milliseconds(1));
  std::vector<v1::Ping> pings;
  for (v1::WorkerFrame out; core().next_frame(out);) {
    if (out.has_ping()) pings.push_back(out.ping());
  }
  ASSERT_EQ(pings.size(), 2u);
  EXPECT_TRUE(pings[0].reply());
  EXPECT_EQ(pings[0].nonce(), 5u);
  EXPECT_EQ(pings[0].mono_us(), 123u);
  EXPECT_FALSE(pings[1].reply());
  EXPECT_TRUE(pings[1].work_pending());
}

TEST_F(SessionTest, TheSmallerLeaseHolds) {
  v1::RouterFrame frame;
  frame.mutable_hello()->set_protocol_min(1);
  frame.mutable_hello()->set_protocol_max(1);
  frame.mutable_hello()->set_lease_ms(500);
  core().on_frame(frame, now_);
  core().on_tick(now_ += milliseconds(500));
  EXPECT_EQ(closed(), "open");
  core().on_tick(now_ += milliseconds(1));
  EXPECT_THAT(closed(), HasSubstr("lease"));
}

TEST_F(SessionTest, ASlowReaderLosesTheLaneAndItsAttemptsAreHandedBack) {
  limits_.max_pending_bytes = 10'000;
  hello();
  start(small_start(1));
  for (int32_t offset = 0; offset < 10'000 && !core().closed(); ++offset)
    event(0, Tokens{0, offset, {1}, {}});
  EXPECT_THAT(closed(), HasSubstr("too slowly"));
  const auto orphans = core().take_orphans();
  ASSERT_EQ(orphans.size(), 1u);
  EXPECT_EQ(orphans[0].id, host_.submitted[0].id);
  v1::WorkerFrame frame;
  EXPECT_FALSE(core().next_frame(frame));
}

}  // namespace
}  // namespace bessemer::testing
