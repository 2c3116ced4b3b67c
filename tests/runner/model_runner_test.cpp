// Plans in, results out: what the runner promises to the engine beside the arithmetic.
#include <algorithm>
#include <cmath>
#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"
#include "tests/runner/harness.h"
#include "tests/support/random_llama.h"
#include "worker/model/registry.h"

namespace bessemer::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RunnerTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    bytes_ = random_llama({}).build();
    file_ = GgufFile::parse(bytes_, "random.gguf").value();
    backend_ = make_backend(GetParam(), {}).value();
    auto runner =
        ModelRunner::create(*backend_, load_model(*file_, *backend_, Rank{}).value(), options());
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = std::move(*runner);
    runner_->set_result_sink([this](StepResult result) { results_.push(std::move(result)); });
  }
  static RunnerOptions options() {
    RunnerOptions options;
    options.slots = 4;
    options.step_tokens = 64;
    options.kv_dtype = DType::f32;
    options.kv_cache_bytes = 4 << 20;
    return options;
  }
  StepResult step(StepPlan plan) {
    plan.id = ++step_;
    runner_->launch(std::move(plan));
    std::vector<StepResult> results;
    CHECK(results_.wait_drain(results) && results.size() == 1 && results[0].id == step_);
    return std::move(results[0]);
  }
  // Opens `slot` on the given blocks; greedy.
  StepPlan open(int32_t slot, const std::vector<int32_t>& history,
                const std::vector<int32_t>& blocks) {
    StepPlan plan;
    Open& open = plan.open.emplace_back();
    open.slot = slot;
    open.prompt_len = static_cast<int32_t>(history.size());
    open.history = append(plan.tokens, history);
    open.sampling.temperature = 0;
    plan.grow.push_back({.slot = slot, .blocks = append(plan.ints, blocks)});
    return plan;
  }
  static Work work(int32_t slot, int32_t begin, int32_t count, Want want) {
    return {.slot = slot, .begin = begin, .count = count, .want = want};
  }

  struct Results {
    Mailbox<StepResult> box{8, 0};
    void push(StepResult result) { CHECK(box.push(std::move(result))); }
    bool wait_drain(std::vector<StepResult>& out) { return box.wait_drain(out); }
  };
  std::vector<std::byte> bytes_;
  std::shared_ptr<const GgufFile> file_;
  std::unique_ptr<Backend> backend_;
  Results results_;
  std::unique_ptr<ModelRunner> runner_;
  StepId step_ = 0;
};

std::vector<int32_t> prompt(int32_t length, uint64_t seed = 1) {
  Random random(seed);
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < length; ++i) ids.push_back(static_cast<int32_t>(random.below(320)));
  return ids;
}

TEST_P(RunnerTest, ContinuesAtLength) {
  StepPlan plan = open(0, prompt(20), {5, 2, 9});
  plan.work = {work(0, 0, 20, Want::sample)};
  const StepResult first = step(std::move(plan));
  ASSERT_EQ(first.outcomes.size(), 1u);
  ASSERT_EQ(first.tokens.size(), 1u);
  StepPlan next;
  next.work = {work(0, kAtLength, 1, Want::sample)};
  const StepResult second = step(next);
  // The same, computed at once in another slot.
  std::vector<int32_t> history = prompt(20);
  history.push_back(first.tokens[0]);
  StepPlan whole = open(1, history, {0, 1});
  whole.work = {work(1, 0, 21, Want::sample)};
  EXPECT_EQ(step(std::move(whole)).tokens, second.tokens);
}

TEST_P(RunnerTest, CopiesBlocksBeforeTheRowsThatWriteThem) {
  const std::vector<int32_t> history = prompt(20);
  StepPlan plan = open(0, history, {3, 4});
  plan.work = {work(0, 0, 20, Want::sample)};
  const auto undisturbed = step(std::move(plan)).tokens;
  // Slot 1 shares the full block 3, and takes a copy of the partial one to write its last row into.
  StepPlan fork = open(1, history, {3, 7});
  fork.moves = {{.id = 1, .from = 4, .to = 7}};
  fork.work = {work(1, 19, 1, Want::sample)};
  EXPECT_EQ(step(std::move(fork)).tokens, undisturbed);
}

TEST_P(RunnerTest, ScoresAreTheModelsOwnDistribution) {
  const std::vector<int32_t> history = prompt(12);
  StepPlan plan = open(0, history, {0});
  Work& score = plan.work.emplace_back(work(0, 0, 12, Want::score_and_sample));
  score.score_logprobs = 2;
  score.top_logprobs = 1;
  const StepResult result = step(std::move(plan));
  const auto scores = slice(result.logprobs, result.outcomes[0].scores);
  ASSERT_EQ(scores.size(), 11u * 3);
  for (size_t row = 0; row < 11; ++row) {
    EXPECT_EQ(scores[3 * row].token, history[row + 1]);
    EXPECT_LT(scores[3 * row].value, 0.0f);
    EXPECT_EQ(scores[3 * row + 1].rank, 1);
    EXPECT_GE(scores[3 * row + 1].value, scores[3 * row + 2].value);
    EXPECT_LE(scores[3 * row].value, scores[3 * row + 1].value);
  }
  const auto drawn = slice(result.logprobs, result.outcomes[0].logprobs);
  ASSERT_EQ(drawn.size(), 2u);
  EXPECT_EQ(drawn[0].token, result.tokens[0]);  // greedy: the best one
  EXPECT_EQ(drawn[1].token, result.tokens[0]);
}

TEST_P(RunnerTest, ScoredAndDrawnRowsMayMix) {
  StepPlan plan;
  for (int32_t slot = 0; slot < 3; ++slot) {
    StepPlan one = open(slot, prompt(6, static_cast<uint64_t>(slot)), {slot});
    Open& opened = plan.open.emplace_back(one.open[0]);
    opened.history = append(plan.tokens, slice(one.tokens, one.open[0].history));
    plan.grow.push_back({.slot = slot, .blocks = append(plan.ints, one.ints)});
    plan.work.push_back(work(slot, 0, 6, slot == 1 ? Want::score_and_sample : Want::sample));
  }
  const StepResult mixed = step(std::move(plan));
  ASSERT_EQ(mixed.tokens.size(), 3u);
  for (int32_t slot = 0; slot < 3; ++slot) {
    StepPlan alone = open(3, prompt(6, static_cast<uint64_t>(slot)), {9});
    alone.work = {work(3, 0, 6, Want::sample)};
    EXPECT_EQ(step(std::move(alone)).tokens[0], mixed.tokens[static_cast<size_t>(slot)]);
    StepPlan close;
    close.close = {3};
    step(std::move(close));
  }
}

TEST_P(RunnerTest, OneRequestsFaultIsItsOwn) {
  StepPlan plan = open(0, prompt(4), {0});
  // All but nothing is banned: every token of the vocabulary gets the bias of a ban.
  std::vector<int32_t> banned;
  for (int32_t id = 0; id < 320; ++id) banned.insert(banned.end(), {1, id});
  plan.open[0].sampling.banned = append(plan.tokens, banned);
  StepPlan other = open(1, prompt(4), {1});
  Open& opened = plan.open.emplace_back(other.open[0]);
  opened.history = append(plan.tokens, prompt(4));
  plan.grow.push_back({.slot = 1, .blocks = append(plan.ints, std::vector<int32_t>{1})});
  plan.work = {work(0, 0, 4, Want::sample), work(1, 0, 4, Want::sample)};
  const StepResult result = step(std::move(plan));
  EXPECT_EQ(result.fault, Fault::ok);
  EXPECT_NE(result.outcomes[0].fault, Fault::ok);
  EXPECT_EQ(result.outcomes[0].tokens.count, 0);
  EXPECT_EQ(result.outcomes[1].fault, Fault::ok);
  EXPECT_EQ(result.outcomes[1].tokens.count, 1);
  // The faulty slot stays out until it is closed (R3); the other goes on.
  StepPlan next;
  next.work = {work(0, kAtLength, 1, Want::sample), work(1, kAtLength, 1, Want::sample)};
  const StepResult after = step(std::move(next));
  EXPECT_NE(after.outcomes[0].fault, Fault::ok);
  EXPECT_EQ(after.tokens.size(), 1u);
}

TEST_P(RunnerTest, TheDigestIsOfTheTokens) {
  StepPlan plan = open(0, prompt(8), {0});
  plan.work = {work(0, 0, 8, Want::sample)};
  const StepResult a = step(plan);
  StepPlan again = open(1, prompt(8), {1});
  again.work = {work(1, 0, 8, Want::sample)};
  EXPECT_EQ(step(std::move(again)).digest, a.digest);
  StepPlan other = open(2, prompt(8, 77), {2});
  other.work = {work(2, 0, 8, Want::sample)};
  const StepResult b = step(std::move(other));
  EXPECT_EQ(a.digest == b.digest, a.tokens == b.tokens);
}

TEST_P(RunnerTest, MovesToOtherTiersAreRefused) {
  StepPlan plan;
  plan.moves = {{.id = 9, .to_tier = Tier::host, .from = 0, .to = 0}};
  EXPECT_THAT(step(std::move(plan)).failed_moves, ElementsAre(9));
}

TEST_P(RunnerTest, RefusesMoreContextThanTheModelHas) {
  RunnerOptions more = options();
  more.max_len = 257;
  const auto runner =
      ModelRunner::create(*backend_, load_model(*file_, *backend_, Rank{}).value(), more);
  EXPECT_THAT(std::string(runner.status().message()), HasSubstr("give at most 256"));
}

TEST_P(RunnerTest, RefusesALengthWithoutRoomForAnAnswer) {
  RunnerOptions least = options();
  least.max_len = 1;
  const auto runner =
      ModelRunner::create(*backend_, load_model(*file_, *backend_, Rank{}).value(), least);
  EXPECT_THAT(std::string(runner.status().message()), HasSubstr("at least 2 tokens"));
}

// Before any table of that many positions is made.
TEST_P(RunnerTest, RefusesAnAbsurdContextAtOnce) {
  RandomLlama absurd;
  absurd.context = 1 << 26;
  const std::vector<std::byte> bytes = random_llama(absurd).build();
  const auto file = GgufFile::parse(bytes, "absurd.gguf").value();
  const auto runner =
      ModelRunner::create(*backend_, load_model(*file, *backend_, Rank{}).value(), options());
  EXPECT_THAT(std::string(runner.status().message()), HasSubstr("one sequence of 67108864 tokens"));
}

INSTANTIATE_TEST_SUITE_P(Backends, RunnerTest, ::testing::Values("reference", "cpu"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace bessemer::testing
