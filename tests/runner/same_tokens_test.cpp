// The same tokens, whatever the circumstances (E5): against llama.cpp, between backends, alone or
// in company, in one piece or in chunks, the first time or the second, with one thread or several,
// with a cold prefix, a warm one or one that somebody else is computing, undisturbed or resumed.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "common/json.h"
#include "common/random.h"
#include "tests/runner/harness.h"
#include "tests/support/models.h"
#include "tests/support/random_llama.h"

namespace bessemer::testing {
namespace {

struct Golden {
  std::vector<int32_t> prompt, greedy;
};

// Written by tests/golden/greedy_llama_cpp.py.
std::vector<Golden> read_goldens() {
  std::ifstream file("tests/golden/stories260K_greedy.json");
  std::stringstream text;
  text << file.rdbuf();
  const auto value = parse_json(text.str());
  CHECK(value.ok());
  std::vector<Golden> goldens;
  for (const auto& item : value->at("cases").as_array()) {
    goldens.push_back({json::value_to<std::vector<int32_t>>(item.at("ids")),
                       json::value_to<std::vector<int32_t>>(item.at("greedy"))});
  }
  return goldens;
}

// Prompts of random ids, and sampling that a changed bit anywhere would change.
std::vector<Request> random_requests(int32_t count, uint64_t seed) {
  Random random(seed);
  std::vector<Request> requests;
  for (int32_t i = 0; i < count; ++i) {
    std::vector<int32_t> prompt{1};
    const int64_t length = random.between(1, 150);
    for (int64_t j = 0; j < length; ++j)
      prompt.push_back(static_cast<int32_t>(random.between(3, 511)));
    Request request = greedy(std::move(prompt), static_cast<int32_t>(random.between(1, 60)));
    request.sampling.temperature = i % 3 == 0 ? 0.0f : 1.2f;
    request.sampling.seed = random.next();
    request.sampling.repetition_penalty = i % 2 == 0 ? 1.0f : 1.1f;
    request.n = i % 5 == 4 ? 3 : 1;
    requests.push_back(std::move(request));
  }
  return requests;
}

std::vector<std::vector<std::vector<int32_t>>> ids_of(const std::vector<Output>& outputs) {
  std::vector<std::vector<std::vector<int32_t>>> ids;
  for (const Output& output : outputs) {
    EXPECT_EQ(output.error, "");
    ids.push_back(output.ids);
  }
  return ids;
}

std::vector<float> values_of(const std::vector<Logprob>& logprobs, size_t first) {
  std::vector<float> values;
  for (size_t i = first; i < logprobs.size(); ++i) values.push_back(logprobs[i].value);
  return values;
}

std::vector<std::vector<std::vector<int32_t>>> one_by_one(Harness& harness,
                                                          const std::vector<Request>& requests) {
  std::vector<Output> outputs;
  for (const Request& request : requests) outputs.push_back(harness.run(request));
  return ids_of(outputs);
}

// Weights and KV in the formats that are served, which stories260K (all f32) has not.
std::string quantised_path() {
  static const std::string path = [] {
    RandomLlama options;
    options.width = options.ff = 256;
    options.vocab = 512;
    options.context = 512;
    options.embedding = TensorType::q8_0;
    options.attention = TensorType::q4_1;
    options.mlp = TensorType::q6_k;
    options.attention_bias = true;
    const std::string file =
        ::testing::TempDir() + "bessemer_same_tokens_" + std::to_string(getpid()) + ".gguf";
    random_llama(options).write(file);
    return file;
  }();
  return path;
}

// Of stories260K with KV in f32, which is what the goldens are of.
void expect_goldens(Harness& harness) {
  const auto goldens = read_goldens();
  ASSERT_GE(goldens.size(), 5u);
  for (const Golden& golden : goldens) {
    const Output output =
        harness.run(greedy(golden.prompt, static_cast<int32_t>(golden.greedy.size())));
    EXPECT_EQ(output.error, "");
    EXPECT_EQ(output.ids[0], golden.greedy);
  }
}

// Slots and blocks are free again, or only cached.
void expect_nothing_held_after(Harness& harness, const std::vector<Request>& requests) {
  ids_of(harness.run(requests));
  const EngineStats stats = harness.stats();
  EXPECT_EQ(stats.slots_open, 0);
  EXPECT_EQ(stats.kv_held, 0);
  EXPECT_EQ(stats.kv_free + stats.kv_cached, stats.kv_total);
}

struct Variant {
  std::string name, backend;
  bool quantised;  // the weights
  DType kv;

  std::string model_path() const {
    return quantised ? quantised_path() : test::stories_model_path();
  }
};

class SameTokens : public ::testing::TestWithParam<Variant> {
 protected:
  void SetUp() override {
    if (!GetParam().quantised && !std::filesystem::exists(test::stories_model_path()))
      GTEST_SKIP() << test::stories_model_path() << " is missing";
  }
  static void TearDownTestSuite() { std::remove(quantised_path().c_str()); }
  std::unique_ptr<Harness> make(int32_t step_tokens = 64, int32_t threads = 0) {
    HarnessOptions options;
    return make(options, step_tokens, threads);
  }
  std::unique_ptr<Harness> make(HarnessOptions options, int32_t step_tokens = 64,
                                int32_t threads = 0) {
    options.backend = GetParam().backend;
    options.step_tokens = step_tokens;
    options.threads = threads;
    options.kv_dtype = GetParam().kv;
    return Harness::make(options, GetParam().model_path());
  }
};

TEST_P(SameTokens, AsLlamaCpp) {
  if (GetParam().kv != DType::f32) return;
  const auto harness = make();
  ASSERT_TRUE(harness);
  expect_goldens(*harness);
}

TEST_P(SameTokens, AloneAndInABatch) {
  const auto harness = make();
  ASSERT_TRUE(harness);
  const auto requests = random_requests(8, 1);
  const auto alone = one_by_one(*harness, requests);
  EXPECT_EQ(ids_of(harness->run(requests)), alone);
}

TEST_P(SameTokens, InOnePieceAndInChunks) {
  const auto requests = random_requests(5, 2);
  const auto whole = one_by_one(*make(256), requests);
  EXPECT_EQ(one_by_one(*make(16), requests), whole);
  EXPECT_EQ(one_by_one(*make(7), requests), whole);
}

TEST_P(SameTokens, TheFirstAndTheSecondTime) {
  const auto harness = make();
  ASSERT_TRUE(harness);
  const auto requests = random_requests(5, 3);
  const auto first = one_by_one(*harness, requests);
  EXPECT_EQ(one_by_one(*harness, requests), first);
}

// Requests of one system prompt, and each one's next turn, which begins with its own answer.
std::vector<Request> conversations(int32_t count, uint64_t seed) {
  Random random(seed);
  std::vector<int32_t> shared{1};
  while (shared.size() < 75) shared.push_back(static_cast<int32_t>(random.between(3, 511)));
  std::vector<Request> requests = random_requests(count, seed);
  for (Request& request : requests) {
    request.prompt.resize(std::min<size_t>(request.prompt.size(), 40));
    request.prompt.insert(request.prompt.begin(), shared.begin(), shared.end());
  }
  return requests;
}

TEST_P(SameTokens, WithAColdAWarmAndAPendingPrefix) {
  HarnessOptions off;
  off.prefix_cache = false;
  auto requests = conversations(5, 6);
  const auto without = make(off), cached = make(HarnessOptions{});
  ASSERT_TRUE(without && cached);
  for (int turn = 0; turn < 2; ++turn) {
    const auto cold = one_by_one(*without, requests);
    EXPECT_EQ(ids_of(cached->run(requests)), cold) << "together: one computes what all wait for";
    EXPECT_EQ(ids_of(make(HarnessOptions{})->run(requests)), cold) << "the same, from nothing";
    EXPECT_EQ(one_by_one(*cached, requests), cold) << "warm";
    for (size_t i = 0; i < requests.size(); ++i) {
      append(requests[i].prompt, cold[i][0]);
      requests[i].prompt.push_back(7);
    }
  }
  EXPECT_EQ(without->stats().prefix_tokens_found, 0u);
  const EngineStats stats = cached->stats();
  EXPECT_GT(stats.prefix_tokens_found * 10, stats.prefix_tokens_asked * 8);
}

// Room for little more than one sequence: blocks are evicted all the time, and choices preempted.
TEST_P(SameTokens, UnderPressure) {
  const auto requests = conversations(12, 7);
  const auto undisturbed = one_by_one(*make(), requests);
  HarnessOptions small;
  small.max_len = 256;
  const uint64_t block_bytes = make()->runner().limits().groups[0].block_bytes;
  small.kv_cache_bytes = block_bytes * 18;
  const auto harness = make(small);
  ASSERT_TRUE(harness);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(ids_of(harness->run(requests)), undisturbed);
  }
  EXPECT_GT(harness->stats().preemptions, 0u);
  EXPECT_GT(harness->stats().prefix_tokens_found, 0u);
}

// Wherever a request stops and goes on with what it had delivered, by another engine that has
// nothing of it and by the one that has, its tokens and their probabilities are the same.
TEST_P(SameTokens, UndisturbedAndResumed) {
  const auto first = make(), second = make(16);
  ASSERT_TRUE(first && second);
  auto requests = random_requests(10, 8);
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].top_logprobs = 2;
    if (i % 2 == 0) continue;
    requests[i].sampling.frequency_penalty = 0.7f;
    requests[i].sampling.presence_penalty = 0.4f;
    requests[i].sampling.stop_ids = append(requests[i].tokens, std::vector<int32_t>{2, 261});
    requests[i].sampling.min_tokens = 10;
    requests[i].max_tokens = std::max(requests[i].max_tokens, 12);
  }
  Random random(9);
  std::vector<Request> again;
  std::vector<Output> whole;
  for (const Request& request : requests) {
    whole.push_back(first->run(request));
    again.push_back(interrupted(request, whole.back().ids, random));
  }
  for (Harness* harness : {second.get(), first.get()}) {
    const std::vector<Output> resumed = harness->run(again);
    for (size_t i = 0; i < whole.size(); ++i) {
      EXPECT_EQ(resumed[i].error, "");
      EXPECT_EQ(resumed[i].ids, whole[i].ids) << i;
      EXPECT_EQ(resumed[i].ends, whole[i].ends) << i;
      EXPECT_EQ(resumed[i].usage.prompt, whole[i].usage.prompt);
      EXPECT_EQ(resumed[i].usage.generated, whole[i].usage.generated);
      for (size_t c = 0; c < whole[i].ids.size(); ++c) {
        EXPECT_EQ(values_of(resumed[i].logprobs[c], 0),
                  values_of(whole[i].logprobs[c], 3 * again[i].resumed[c].ids.size()))
            << i;
      }
    }
  }
}

TEST_P(SameTokens, WithAnyNumberOfThreads) {
  const auto requests = random_requests(6, 4);
  const auto one = ids_of(make(64, 1)->run(requests));
  EXPECT_EQ(ids_of(make(64, 2)->run(requests)), one);
  EXPECT_EQ(ids_of(make(64, 3)->run(requests)), one);
}

TEST_P(SameTokens, NothingIsHeldAfterwards) {
  const auto harness = make();
  ASSERT_TRUE(harness);
  expect_nothing_held_after(*harness, random_requests(12, 5));
}

INSTANTIATE_TEST_SUITE_P(Backends, SameTokens,
                         ::testing::Values(Variant{"reference", "reference", false, DType::f32},
                                           Variant{"cpu", "cpu", false, DType::f32},
                                           Variant{"cpu_q4_f16", "cpu", true, DType::f16},
                                           Variant{"cpu_q4_int8", "cpu", true, DType::i8}),
                         [](const auto& param) { return param.param.name; });

// A device promises the same bits for the same steps only: goldens, and the same requests again.
class SameTokensOnADevice : public ::testing::TestWithParam<Variant> {
 protected:
  void SetUp() override {
    const auto backend = make_backend(GetParam().backend, {});
    if (!backend.ok()) GTEST_SKIP() << GetParam().backend << ": " << backend.status().message();
    if (!std::filesystem::exists(test::stories_model_path()))
      GTEST_SKIP() << test::stories_model_path() << " is missing";
  }
  std::unique_ptr<Harness> make() {
    HarnessOptions options;
    options.backend = GetParam().backend;
    options.kv_dtype = GetParam().kv;
    options.prefix_cache = false;  // what is found there changes a step
    return Harness::make(options, GetParam().model_path());
  }
};

TEST_P(SameTokensOnADevice, AsLlamaCpp) {
  if (GetParam().kv != DType::f32) return;
  const auto harness = make();
  ASSERT_TRUE(harness);
  expect_goldens(*harness);
}

TEST_P(SameTokensOnADevice, OneByOneTwice) {
  const auto harness = make();
  ASSERT_TRUE(harness);
  const auto requests = random_requests(8, 3);
  const auto first = one_by_one(*harness, requests);
  EXPECT_EQ(one_by_one(*harness, requests), first);
}

TEST_P(SameTokensOnADevice, TogetherNothingIsHeldAfterwards) {
  const auto harness = make();
  ASSERT_TRUE(harness);
  expect_nothing_held_after(*harness, random_requests(12, 5));
}

INSTANTIATE_TEST_SUITE_P(Backends, SameTokensOnADevice,
                         ::testing::Values(Variant{"cuda", "cuda", false, DType::f32},
                                           Variant{"cuda_q4_f16", "cuda", true, DType::f16},
                                           Variant{"cuda_q4_int8", "cuda", true, DType::i8}),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace bessemer::testing
