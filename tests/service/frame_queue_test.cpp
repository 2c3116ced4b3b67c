#include "worker/service/frame_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bessemer::testing {
namespace {

using ::testing::ElementsAre;

v1::StepBatch pop_step(FrameQueue& queue) {
  v1::WorkerFrame frame;
  EXPECT_TRUE(queue.pop(frame));
  EXPECT_TRUE(frame.has_step());
  return frame.step();
}

TEST(FrameQueue, MergesPassesIntoColumns) {
  FrameQueue queue(1 << 16);
  queue.put_event(3, {{}, Tokens{0, 10, {5}, {}}}, 1, 100);
  queue.put_event(4, {{}, Tokens{1, 0, {6, 7}, {}}}, 2, 200);
  queue.put_event(3, {{}, ChoiceEnd{0, EndReason::length, -1, 11}}, 2, 200);
  queue.put_event(9, {{}, Admitted{}}, 2, 200);
  const v1::StepBatch batch = pop_step(queue);
  EXPECT_EQ(batch.step(), 2u);
  EXPECT_EQ(batch.mono_us(), 200u);
  EXPECT_THAT(batch.attempt(), ElementsAre(3, 4));
  EXPECT_THAT(batch.choice(), ElementsAre(0, 1));
  EXPECT_THAT(batch.offset(), ElementsAre(10, 0));
  EXPECT_THAT(batch.count(), ElementsAre(1, 2));
  EXPECT_THAT(batch.ids(), ElementsAre(5, 6, 7));
  ASSERT_EQ(batch.before_size(), 1);
  EXPECT_EQ(batch.before(0).attempt(), 9u);
  ASSERT_EQ(batch.after_size(), 1);
  EXPECT_FALSE(batch.after(0).choice_end().has_stop_id());
  EXPECT_TRUE(queue.empty());
}

TEST(FrameQueue, LogprobsNameTheirRowAndId) {
  FrameQueue queue(1 << 16);
  queue.put_event(1, {{}, Tokens{0, 0, {5}, {}}}, 1, 0);
  queue.put_event(
      2, {{}, Tokens{0, 0, {6, 7}, {{6, -0.5f, 1}, {9, -2.0f, 2}, {7, -3.0f, 4}, {8, -0.1f, 1}}}},
      1, 0);
  const v1::StepBatch batch = pop_step(queue);
  ASSERT_EQ(batch.logprobs_size(), 2);
  EXPECT_EQ(batch.logprobs(0).row(), 1u);
  EXPECT_EQ(batch.logprobs(0).index(), 0u);
  EXPECT_THAT(batch.logprobs(0).ids(), ElementsAre(6, 9));
  EXPECT_EQ(batch.logprobs(1).index(), 1u);
  EXPECT_THAT(batch.logprobs(1).values(), ElementsAre(-3.0f, -0.1f));
  EXPECT_EQ(batch.logprobs(1).rank(), 4u);
}

TEST(FrameQueue, NoFrameGrowsBeyondTheLimit) {
  constexpr size_t kLimit = 4096;
  FrameQueue queue(kLimit);
  size_t put = 0;
  for (int32_t i = 0; i < 5000; ++i) {
    queue.put_event(1'000'000,
                    {{}, Tokens{0, 100'000 + i, {50'000}, {{50'000, -1.0f, 1}, {3, -2.0f, 2}}}}, 1,
                    0);
    if (i % 100 == 0) queue.put_event(1'000'000, {{}, Progress{i}}, 1, 0);
    ++put;
  }
  const size_t pending = queue.pending_bytes();
  size_t got = 0, bytes = 0;
  for (v1::WorkerFrame frame; queue.pop(frame);) {
    EXPECT_LE(frame.ByteSizeLong(), kLimit);
    bytes += frame.ByteSizeLong();
    got += static_cast<size_t>(frame.step().attempt_size());
  }
  EXPECT_EQ(got, put);
  EXPECT_GE(pending, bytes);
  EXPECT_LE(pending, bytes + bytes / 2);
  EXPECT_EQ(queue.pending_bytes(), 0u);
}

TEST(FrameQueue, SpellsEveryEnd) {
  v1::Event event = to_event(1, {{}, Failed{Fault::deadline, "late"}});
  EXPECT_EQ(event.failed().code(), 4u);  // DEADLINE_EXCEEDED
  EXPECT_FALSE(event.failed().elsewhere());
  event = to_event(1, {{}, Failed{Fault::shutdown, ""}});
  EXPECT_EQ(event.failed().code(), 14u);  // UNAVAILABLE
  EXPECT_TRUE(event.failed().elsewhere());
  event = to_event(1, {{}, Failed{Fault::numeric, ""}});
  EXPECT_EQ(event.failed().code(), 13u);  // INTERNAL
  EXPECT_FALSE(event.failed().elsewhere());
  event = to_event(1, {{}, Rejected{RejectReason::too_large, "big"}});
  EXPECT_EQ(event.rejected().reason(), v1::REJECT_TOO_LARGE);
  event = to_event(
      1, {{}, PromptScores{4, 2, {{7, -1.0f, 3}, {8, -0.5f, 1}, {9, -0.2f, 1}, {1, -4.0f, 2}}}});
  EXPECT_EQ(event.prompt_logprobs().first(), 4u);
  ASSERT_EQ(event.prompt_logprobs().tokens_size(), 2);
  EXPECT_THAT(event.prompt_logprobs().tokens(1).ids(), ElementsAre(9, 1));
}

}  // namespace
}  // namespace bessemer::testing
