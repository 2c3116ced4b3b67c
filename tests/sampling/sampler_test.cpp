#include "worker/sampling/sampler.h"

#include <cmath>

#include <gtest/gtest.h>

#include "tests/sampling/rows.h"
#include "worker/sampling/adjust.h"
#include "worker/sampling/race.h"
#include "worker/sampling/truncate.h"

namespace bessemer {
namespace {

SampleOutput sample(const std::vector<float>& row, const SamplingParams& params,
                    const std::vector<int32_t>& history = {0}, int32_t top_logprobs = -1) {
  SampleInput input;
  input.params = &params;
  input.history = history;
  input.prompt_len = 1;
  input.top_logprobs = top_logprobs;
  return sample_row(row, input);
}

TEST(Sampler, GreedyTakesTheLowestIdOfTheLargest) {
  EXPECT_EQ(sample({1, 3, 2, 3}, {.temperature = 0}).token, 1);
  // Truncation has no say: typical_p alone would drop the likeliest token here.
  EXPECT_EQ(sample({1, 9, 2, 3}, {.temperature = 0, .typical_p = 0.01f, .top_k = 1}).token, 1);
  EXPECT_EQ(sample({1, 3, 2, 3}, {.temperature = 1e-7f}).token, 1);
}

TEST(Sampler, IsTheCompositionOfItsStages) {
  Random random(40);
  for (int round = 0; round < 1000; ++round) {
    const std::vector<float> row = random_row(random, 200, 15, false, 0.02);
    SamplingParams params;
    params.seed = random.next();
    params.temperature = static_cast<float>(0.3 + random.uniform());
    params.top_k = static_cast<int32_t>(random.below(50));
    params.top_p = random.chance(0.5) ? 0.9f : 1.0f;
    params.presence_penalty = random.chance(0.5) ? 1.5f : 0.0f;
    const std::vector<int32_t> history = {0, 5, 6, 7};
    SampleInput input;
    input.params = &params;
    input.history = history;
    input.prompt_len = 1;
    input.choice = 3;
    std::vector<float> work = row;
    std::vector<int32_t> counts(row.size());
    adjust(work, input, counts);
    std::vector<TokenCandidate> kept;
    truncate(work, find_max(work), params, kept);
    EXPECT_EQ(sample_row(row, input).token, race(kept, {params.seed, 3, 4}));
  }
}

TEST(Sampler, DependsOnSeedChoiceAndPosition) {
  const std::vector<float> row(1000, 0.0f);
  const SamplingParams one{.seed = 1}, two{.seed = 2};
  const int32_t token = sample(row, one).token;
  EXPECT_EQ(sample(row, one).token, token);
  EXPECT_NE(sample(row, two).token, token);
  EXPECT_NE(sample(row, one, {0, 0}).token, token);
  // The text of the history is no part of the key, its length is.
  EXPECT_EQ(sample(row, one, {9}).token, token);
}

TEST(Sampler, FaultsSayWhoseTheyAre) {
  EXPECT_EQ(sample({1, NAN, 2}, {}).fault, Fault::numeric);
  EXPECT_EQ(sample({1, INFINITY, 2}, {}).fault, Fault::numeric);
  EXPECT_EQ(sample({kImpossible, kImpossible}, {}).fault, Fault::numeric);
  EXPECT_EQ(sample({1, kImpossible}, {}).token, 0);

  const SamplingParams params;
  const std::vector<int32_t> banned = {1, 0, 1, 1};
  SampleInput input;
  input.params = &params;
  input.banned = banned;
  const SampleOutput output = sample_row(std::vector<float>{1, 2}, input);
  EXPECT_EQ(output.fault, Fault::bad_request);
  EXPECT_EQ(output.token, -1);
}

TEST(Sampler, LogprobsAreOfTheUntouchedRow) {
  const std::vector<float> row = {0, std::log(3.0f), 0};  // 1/5, 3/5, 1/5
  const std::vector<int32_t> banned = {1, 1};
  const SamplingParams params{.temperature = 0};
  SampleInput input;
  input.params = &params;
  input.banned = banned;
  input.top_logprobs = 2;
  const SampleOutput output = sample_row(row, input);
  EXPECT_EQ(output.token, 0);
  ASSERT_EQ(output.logprobs.size(), 3u);
  EXPECT_NEAR(output.logprobs[0].value, std::log(0.2f), 1e-6);
  EXPECT_EQ(output.logprobs[0].rank, 2);
  EXPECT_EQ(output.logprobs[1].token, 1);
  EXPECT_NEAR(output.logprobs[1].value, std::log(0.6f), 1e-6);
  EXPECT_EQ(output.logprobs[2].token, 0);
  EXPECT_TRUE(sample(row, params, {0}, -1).logprobs.empty());
  EXPECT_EQ(sample(row, params, {0}, 0).logprobs.size(), 1u);
}

TEST(Sampler, DistributionUnderAllProcessors) {
  // p = softmax over {0: ln 4, 1: ln 3, 2: ln 2, 3: ln 1} without 3 (top_k) and with 1 penalised to
  // ln 2: 1/2, 1/4, 1/4.
  const std::vector<float> row = {std::log(4.0f), std::log(3.0f), std::log(2.0f), 0};
  SamplingParams params;
  params.presence_penalty = std::log(1.5f);
  params.top_k = 3;
  int counts[4] = {};
  constexpr int kDraws = 40'000;
  for (int i = 0; i < kDraws; ++i) {
    params.seed = static_cast<uint64_t>(i);
    ++counts[sample(row, params, {9, 1}).token];
  }
  const double expected[4] = {0.5, 0.25, 0.25, 0};
  for (int i = 0; i < 4; ++i) {  // five standard deviations
    EXPECT_NEAR(counts[i], expected[i] * kDraws, 5 * std::sqrt(kDraws * 0.25)) << i;
  }
  EXPECT_EQ(counts[3], 0);
}

}  // namespace
}  // namespace bessemer
