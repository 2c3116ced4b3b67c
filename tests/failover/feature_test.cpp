// Routers and workers of different age: what a request uses is honoured or refused, never accepted
// and ignored. Every mock checks it too: a field that is used without its feature being required is
// a complaint, since a worker that does not know the field would not see it.
#include "proto/features.h"
#include "tests/router/router_fixture.h"

namespace bessemer {
namespace {

struct FeatureUse {
  Feature feature;
  std::string fields;  // of a completion
};

const std::vector<FeatureUse>& uses() {
  static const std::vector<FeatureUse> kUses = {
      {Feature::parallel_choices, R"("prompt":"x","n":2)"},
      {Feature::penalties, R"("prompt":"x","frequency_penalty":0.5)"},
      {Feature::penalties, R"("prompt":"x","presence_penalty":0.5)"},
      {Feature::penalties, R"("prompt":"x","repetition_penalty":1.5)"},
      {Feature::logit_bias, R"("prompt":"x","logit_bias":{"300":5})"},
      {Feature::logit_bias, R"("prompt":"x","allowed_token_ids":[300,301])"},
      {Feature::logprobs, R"("prompt":"x","logprobs":1)"},
      {Feature::prompt_logprobs, R"("prompt":"xy","prompt_logprobs":1)"},
      {Feature::min_p, R"("prompt":"x","min_p":0.1)"},
      {Feature::chunked_input, R"("prompt":")" + std::string(60'000, 'x') + '"'},
      {Feature::banned_sequences, R"("prompt":"x","bad_words":["no"])"},
      {Feature::typical_p, R"("prompt":"x","typical_p":0.5)"},
      {Feature::cache_root, R"("prompt":"x","cache_salt":"mine")"},
  };
  return kUses;
}

class FeatureTest : public RouterTest {
 protected:
  FeatureTest() {
    mock_.model.max_model_len = 100'000;
    mock_.timing.prefill_tok_s = 1e9;
  }
  MockWorker& add_worker_without(Feature feature) {
    MockWorkerOptions options = mock_;
    options.missing_features = feature_bit(feature);
    return add_worker(options);
  }
  ClientResponse complete(const FeatureUse& use) {
    return post("/v1/completions", R"({"model":"mock","max_tokens":2,)" + use.fields + "}");
  }
  void stop() {
    TearDown();
    config_.workers.clear();
  }
};

TEST_F(FeatureTest, EveryFeatureThatIsUsedIsRequired) {
  add_worker();
  start();
  for (const FeatureUse& use : uses()) EXPECT_EQ(complete(use).status, 200) << use.fields;
}

TEST_F(FeatureTest, WhereNobodyHasAFeatureItsUseIsRefused) {
  for (const FeatureUse& use : uses()) {
    auto& old = add_worker_without(use.feature);
    start();
    const auto answer = complete(use);
    EXPECT_EQ(answer.status, 400) << use.fields.substr(0, 60) << " " << answer.body;
    EXPECT_EQ(old.engine().resumed(), 0);
    EXPECT_EQ(post("/v1/completions", R"({"model":"mock","prompt":"x","max_tokens":1})").status,
              200);
    stop();
  }
}

TEST_F(FeatureTest, WhereSomeHaveItTheyGetTheRequests) {
  for (const FeatureUse& use : uses()) {
    auto& old = add_worker_without(use.feature);
    auto& newer = add_worker();
    start();
    for (int i = 0; i < 6; i++) {
      const auto answer = complete(use);
      EXPECT_EQ(answer.status, 200) << use.fields.substr(0, 60) << " " << answer.body;
    }
    EXPECT_EQ(old.engine().emitted(), 0) << use.fields.substr(0, 60);
    EXPECT_GT(newer.engine().emitted(), 0);
    stop();
  }
}

}  // namespace
}  // namespace bessemer
