#include "tests/failover/stream_plan.h"

#include <fmt/format.h>

#include "common/json.h"
#include "common/random.h"

namespace bessemer::failover {
namespace {

constexpr uint64_t kFamilies = 16;  // of prompts that begin alike

uint32_t random_id(Random& random) {
  return static_cast<uint32_t>(MockModel::kFirstNumber +
                               static_cast<int64_t>(random.below(MockModel::kNumbers)));
}

void append_ids(Random& random, int64_t count, std::vector<uint32_t>& ids) {
  for (int64_t i = 0; i < count; i++) ids.push_back(random_id(random));
}

std::vector<uint32_t> make_prompt(uint64_t seed, Random& random) {
  std::vector<uint32_t> prompt;
  if (random.chance(0.7)) {
    Random family(seed * kFamilies + random.below(kFamilies));
    append_ids(family, 200, prompt);
  }
  append_ids(random, random.between(1, 200), prompt);
  return prompt;
}

MockSampling make_sampling(Random& random) {
  MockSampling sampling;
  sampling.seed = random.below(uint64_t{1} << 53);
  sampling.choices = random.chance(0.8) ? 1 : static_cast<uint32_t>(random.between(2, 3));
  sampling.max_tokens = static_cast<uint32_t>(random.between(1, 160));
  if (random.chance(0.3)) {
    sampling.min_tokens = static_cast<uint32_t>(random.between(1, sampling.max_tokens));
  }
  sampling.penalised = random.chance(0.3);
  sampling.ignore_eos = random.chance(0.3);
  if (random.chance(0.2)) sampling.stop_ids = {random_id(random), random_id(random)};
  return sampling;
}

}  // namespace

StreamPlan make_plan(const MockModel& model, uint64_t seed, uint64_t number) {
  Random random(seed ^ (number * 0x9e3779b97f4a7c15));
  StreamPlan plan;
  plan.number = number;
  plan.prompt = make_prompt(seed, random);
  plan.sampling = make_sampling(random);
  plan.streamed = random.chance(0.9);
  for (uint32_t i = 0; i < plan.sampling.choices; i++)
    plan.right.push_back(mock_answer(model, plan.sampling, i, plan.prompt));
  return plan;
}

std::string body_of(const StreamPlan& plan, const std::string& model) {
  const MockSampling& sampling = plan.sampling;
  json::object body{{"model", model},
                    {"prompt", json::array(plan.prompt.begin(), plan.prompt.end())},
                    {"seed", sampling.seed},
                    {"n", sampling.choices},
                    {"max_tokens", sampling.max_tokens},
                    {"min_tokens", sampling.min_tokens},
                    {"ignore_eos", sampling.ignore_eos},
                    {"stream", plan.streamed}};
  if (plan.streamed) body["stream_options"] = json::object{{"include_usage", true}};
  if (sampling.penalised) body["frequency_penalty"] = 0.5;
  if (!sampling.stop_ids.empty()) {
    body["stop_token_ids"] = json::array(sampling.stop_ids.begin(), sampling.stop_ids.end());
  }
  return json::serialize(body);
}

std::string text_of(const std::vector<uint32_t>& ids) {
  std::string text;
  for (const uint32_t id : ids) text += fmt::format("{},", id - MockModel::kFirstNumber);
  return text;
}

}  // namespace bessemer::failover
