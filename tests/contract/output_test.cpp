// sample and score are worker/sampling's, row by row, on every backend that keeps its logits on the
// host.
#include "tests/contract/harness.h"

namespace bessemer {
namespace {

using OutputTest = ContractTest;
INSTANTIATE_TEST_SUITE_P(Backends, OutputTest, testing::ValuesIn(subjects()), test_name);

TEST_P(OutputTest, SampleEqualsTheSamplerRowByRow) {
  for (const int32_t rows : {0, 1, 2, 17}) {
    Matrix logits(*subject_, rows, 301, 2);
    logits.fill(random_, 5.0f);
    std::vector<SamplingParams> params(static_cast<size_t>(rows));
    std::vector<SampleInput> inputs(params.size());
    const std::vector<int32_t> history = {4, 8, 15};
    for (size_t i = 0; i < params.size(); ++i) {
      params[i].seed = 100 + i;
      params[i].temperature = i % 3 == 0 ? 0.0f : 0.9f;
      inputs[i].params = &params[i];
      inputs[i].history = history;
      inputs[i].prompt_len = 2;
      inputs[i].top_logprobs = static_cast<int32_t>(i % 4) - 1;
    }
    std::vector<SampleOutput> out(inputs.size());
    run(*subject_, [&] { subject_->sample(out, logits.mat(), inputs); });
    for (int32_t r = 0; r < rows; ++r) {
      const auto i = static_cast<size_t>(r);
      const SampleOutput want = sample_row({&logits.at(r, 0), 301}, inputs[i]);
      EXPECT_EQ(out[i].token, want.token);
      EXPECT_EQ(out[i].fault, Fault::ok);
      ASSERT_EQ(out[i].logprobs.size(), want.logprobs.size());
      for (size_t j = 0; j < want.logprobs.size(); ++j) {
        EXPECT_EQ(out[i].logprobs[j].token, want.logprobs[j].token);
        EXPECT_EQ(out[i].logprobs[j].value, want.logprobs[j].value);
      }
    }
  }
}

// Rows of which only the largest logit is asked, ties and unusable ones among them.
TEST_P(OutputTest, GreedyRowsEqualTheSampler) {
  constexpr int32_t kWidth = 5000;
  Matrix logits(*subject_, 7, kWidth, 1);
  logits.fill(random_, 5.0f);
  logits.at(1, 4999) = logits.at(1, 17) = 1000;
  logits.at(2, 3000) = NAN;
  logits.at(3, 0) = INFINITY;
  for (int32_t c = 0; c < kWidth; ++c) {
    logits.at(4, c) = -INFINITY;
    logits.at(5, c) = -INFINITY;
    logits.at(6, c) = c % 2 ? -0.0f : 0.0f;
  }
  logits.at(5, 4321) = -1e30f;
  const SamplingParams params{.temperature = 0.0f};
  std::vector<SampleInput> inputs(7);
  for (SampleInput& input : inputs) input.params = &params;
  std::vector<SampleOutput> out(inputs.size());
  run(*subject_, [&] { subject_->sample(out, logits.mat(), inputs); });
  for (int32_t r = 0; r < 7; ++r) {
    const auto i = static_cast<size_t>(r);
    ASSERT_TRUE(draws_the_largest(inputs[i]));
    const SampleOutput want = sample_row({&logits.at(r, 0), kWidth}, inputs[i]);
    EXPECT_EQ(out[i].token, want.token) << r;
    EXPECT_EQ(out[i].fault, want.fault) << r;
    EXPECT_TRUE(out[i].logprobs.empty());
  }
}

TEST_P(OutputTest, ScoreEqualsTheSamplerRowByRow) {
  Matrix logits(*subject_, 5, 77);
  logits.fill(random_, 5.0f);
  const std::vector<int32_t> targets = {0, 76, 3, 3, 40};
  std::vector<std::vector<Logprob>> out(targets.size());
  run(*subject_, [&] { subject_->score(out, logits.mat(), targets, 3); });
  for (int32_t r = 0; r < 5; ++r) {
    const auto i = static_cast<size_t>(r);
    const std::vector<Logprob> want = score_row({&logits.at(r, 0), 77}, targets[i], 3);
    ASSERT_EQ(out[i].size(), want.size());
    for (size_t j = 0; j < want.size(); ++j) {
      EXPECT_EQ(out[i][j].token, want[j].token);
      EXPECT_EQ(out[i][j].value, want[j].value);
      EXPECT_EQ(out[i][j].rank, want[j].rank);
    }
  }
}

}  // namespace
}  // namespace bessemer
