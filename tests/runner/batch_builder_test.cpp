#include "worker/runner/batch_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bessemer::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Slots of up to 32 tokens in blocks of 4.
Limits small_limits() {
  Limits limits;
  limits.slots = 4;
  limits.rows = 16;
  limits.logit_rows = 8;
  limits.max_len = 32;
  limits.groups = {{.block_tokens = 4, .block_count = 20}};
  return limits;
}

class BatchBuilder : public ::testing::Test {
 protected:
  // Opens `slot` with this history and these blocks.
  void open(int32_t slot, std::vector<int32_t> history, std::vector<int32_t> blocks) {
    Open& open = plan_.open.emplace_back();
    open.slot = slot;
    open.prompt_len = static_cast<int32_t>(history.size());
    open.history = append(plan_.tokens, history);
    plan_.grow.push_back({.slot = slot, .blocks = append(plan_.ints, blocks)});
  }
  const PreparedStep& prepare() {
    slots_.apply(plan_);
    prepare_step(plan_, slots_, limits_, step_);
    return step_;
  }
  const Limits limits_ = small_limits();
  SlotTable slots_{limits_};
  StepPlan plan_;
  PreparedStep step_;
};

TEST_F(BatchBuilder, LaysOutRowsAndStorage) {
  open(2, {10, 11, 12, 13, 14, 15}, {7, 3});
  open(0, {20}, {9});
  plan_.work = {{.slot = 2, .begin = 2, .count = 4, .want = Want::sample},
                {.slot = 0, .begin = 0, .count = 1, .want = Want::nothing}};
  const StepInputs& in = prepare().inputs;
  EXPECT_THAT(in.ids, ElementsAre(12, 13, 14, 15, 20));
  EXPECT_THAT(in.positions, ElementsAre(2, 3, 4, 5, 0));
  EXPECT_THAT(in.query_start, ElementsAre(0, 4, 5));
  EXPECT_THAT(in.out_rows, ElementsAre(3));
  ASSERT_EQ(in.groups.size(), 1u);
  EXPECT_THAT(in.groups[0].store_at, ElementsAre(7 * 4 + 2, 7 * 4 + 3, 3 * 4, 3 * 4 + 1, 9 * 4));
  EXPECT_EQ(in.groups[0].table_stride, 2);
  EXPECT_THAT(in.groups[0].table, ElementsAre(7, 3, 9, -1));
  EXPECT_THAT(in.groups[0].kv_len, ElementsAre(6, 1));
  EXPECT_EQ(step_.longest_query, 4);
  EXPECT_EQ(step_.longest_kv, 6);
  ASSERT_EQ(step_.draws.size(), 1u);
  EXPECT_EQ(step_.draws[0].work, 0);
  EXPECT_EQ(step_.draws[0].logit_row, 0);
}

TEST_F(BatchBuilder, AtLengthContinuesWhereTheStepBeforeEnded) {
  open(1, {5, 6, 7}, {0});
  slots_.apply(plan_);
  slots_.at(1).length = 3;
  slots_.at(1).history.push_back(8);
  plan_ = {};
  plan_.work = {{.slot = 1, .begin = kAtLength, .count = 1, .want = Want::sample}};
  const StepInputs& in = prepare().inputs;
  EXPECT_THAT(in.ids, ElementsAre(8));
  EXPECT_THAT(in.positions, ElementsAre(3));
  EXPECT_THAT(step_.end, ElementsAre(4));
}

TEST_F(BatchBuilder, ScoresEveryRowWhoseSuccessorIsKnown) {
  open(0, {5, 6, 7, 8}, {0});
  plan_.work = {{.slot = 0, .begin = 0, .count = 2, .want = Want::score, .score_logprobs = 3}};
  prepare();
  EXPECT_THAT(step_.inputs.out_rows, ElementsAre(0, 1));
  ASSERT_EQ(step_.scores.size(), 1u);
  EXPECT_THAT(slice(step_.targets, step_.scores[0].targets), ElementsAre(6, 7));
  EXPECT_EQ(step_.scores[0].top, 3);
  plan_ = {};
  plan_.work = {
      {.slot = 0, .begin = 2, .count = 2, .want = Want::score_and_sample, .score_logprobs = 0}};
  prepare();
  EXPECT_THAT(step_.inputs.out_rows, ElementsAre(0, 1));
  ASSERT_EQ(step_.scores.size(), 1u);
  EXPECT_THAT(slice(step_.targets, step_.scores[0].targets),
              ElementsAre(8));  // the last row has no successor
  ASSERT_EQ(step_.draws.size(), 1u);
  EXPECT_EQ(step_.draws[0].logit_row, 1);
}

TEST_F(BatchBuilder, SlotsWithAFaultComputeNothing) {
  open(0, {5, 6}, {0});
  open(1, {7}, {1});
  slots_.apply(plan_);
  slots_.at(0).fault = Fault::numeric;
  plan_ = {};
  plan_.work = {{.slot = 0, .begin = 0, .count = 2, .want = Want::sample},
                {.slot = 1, .begin = 0, .count = 1, .want = Want::sample}};
  prepare();
  EXPECT_THAT(step_.inputs.ids, ElementsAre(7));
  EXPECT_THAT(step_.end, ElementsAre(-1, 1));
  ASSERT_EQ(step_.draws.size(), 1u);
  EXPECT_EQ(step_.draws[0].work, 1);
  EXPECT_THAT(step_.inputs.groups[0].kv_len, ElementsAre(1));
}

TEST_F(BatchBuilder, NoWorkIsAnEmptyStep) {
  prepare();
  EXPECT_THAT(step_.inputs.ids, IsEmpty());
  EXPECT_THAT(step_.inputs.query_start, ElementsAre(0));
}

using BatchBuilderDeath = BatchBuilder;

TEST_F(BatchBuilderDeath, BrokenPlansStopTheProcess) {
  open(0, {5, 6, 7, 8, 9}, {0});
  slots_.apply(plan_);
  plan_ = {};
  const auto work = [&](Work broken) {
    plan_.work = {broken};
    prepare_step(plan_, slots_, limits_, step_);
  };
  EXPECT_DEATH(work({.slot = 0, .begin = 0, .count = 5}),
               "invariant broken");  // P4: one block holds four
  EXPECT_DEATH(work({.slot = 0, .begin = 4, .count = 2}),
               "invariant broken");  // beyond the history
  EXPECT_DEATH(work({.slot = 1, .begin = 0, .count = 1}), "invariant broken");  // not open
  EXPECT_DEATH(work({.slot = 9, .begin = 0, .count = 1}), "invariant broken");  // no such slot
  EXPECT_DEATH(work({.slot = 0, .begin = 0, .count = 2, .want = Want::sample}),
               "invariant broken");  // R2
}

TEST(SlotTable, OpensGrowsClosesAndOpensAgain) {
  SlotTable slots(small_limits());
  StepPlan plan;
  Open& open = plan.open.emplace_back();
  open.slot = 3;
  open.choice = 2;
  open.prompt_len = 2;
  open.history = append(plan.tokens, std::vector<int32_t>{1, 2, 3});
  open.sampling.stop_ids = append(plan.tokens, std::vector<int32_t>{50, 51});
  open.sampling.bias_ids = append(plan.tokens, std::vector<int32_t>{7});
  open.sampling.bias = append(plan.floats, std::vector<float>{-1.5f});
  plan.grow.push_back({.slot = 3, .at = 0, .blocks = append(plan.ints, std::vector<int32_t>{4})});
  plan.grow.push_back(
      {.slot = 3, .at = 1, .blocks = append(plan.ints, std::vector<int32_t>{6, 5})});
  slots.apply(plan);
  const Slot& slot = slots.at(3);
  EXPECT_TRUE(slot.open);
  EXPECT_EQ(slot.choice, 2);
  EXPECT_THAT(slot.history, ElementsAre(1, 2, 3));
  EXPECT_THAT(slice(slot.tokens, slot.sampling.stop_ids), ElementsAre(50, 51));
  EXPECT_THAT(slice(slot.tokens, slot.sampling.bias_ids), ElementsAre(7));
  EXPECT_THAT(slice(slot.floats, slot.sampling.bias), ElementsAre(-1.5f));
  EXPECT_THAT(slot.tables[0], ElementsAre(4, 6, 5));
  StepPlan again;
  again.close = {3};
  again.open.emplace_back().slot = 3;
  slots.apply(again);
  EXPECT_THAT(slots.at(3).history, IsEmpty());
  EXPECT_THAT(slots.at(3).tables[0], IsEmpty());
  EXPECT_DEATH(slots.apply(StepPlan{.close = {0},
                                    .open = {},
                                    .grow = {},
                                    .moves = {},
                                    .work = {},
                                    .tokens = {},
                                    .ints = {},
                                    .floats = {}}),
               "invariant broken");  // P1
}

}  // namespace
}  // namespace bessemer::testing
