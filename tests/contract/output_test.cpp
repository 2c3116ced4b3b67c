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
