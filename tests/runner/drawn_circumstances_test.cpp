// E5 on SmolLM2: circumstances drawn at random, and always the same tokens with the same
// probabilities. BESSEMER_SAME_SEEDS says how many are drawn (default 5), BESSEMER_SAME_FIRST which
// is the first; a failing one is printed.
#include <algorithm>
#include <array>
#include <filesystem>
#include <numeric>
#include <thread>

#include <gtest/gtest.h>

#include "common/random.h"
#include "kernels/cpu/kernels.h"
#include "tests/runner/harness.h"
#include "tests/support/environment.h"
#include "tests/support/models.h"

namespace bessemer::testing {
namespace {

constexpr int32_t kRequests = 10, kTokens = 36, kMaxLen = 256;
constexpr uint64_t kBlockBytes = 30 * 2 * 192 * 2 * 16;  // of SmolLM2's KV in f16

std::vector<std::string> vector_sets() {
  std::vector<std::string> sets;
  for (const char* name : {"avx2", "avx512", "amx"}) {  // scalar would take minutes
    if (kernels::find_kernels(name) != nullptr) sets.emplace_back(name);
  }
  return sets;
}

struct Circumstances {
  HarnessOptions options;
  std::vector<size_t> order;  // of arrival
  std::vector<int64_t> gaps_us;

  explicit Circumstances(uint64_t seed) {
    Random random(seed);
    const auto one_of = [&](auto... values) {
      const std::array all{values...};
      return all[random.below(all.size())];
    };
    options.backend = "cpu";
    options.kv_dtype = DType::f16;
    if (const auto sets = vector_sets(); !sets.empty()) {
      options.isa = sets[random.below(sets.size())];
    }
    options.threads = static_cast<int32_t>(random.between(1, 4));
    options.slots = static_cast<int32_t>(random.between(1, 32));
    options.step_tokens = std::max(options.slots, one_of(5, 33, 64, 100, 512));
    options.stream_step = std::chrono::milliseconds(one_of(0, 1, 30));
    options.prefix_cache = random.chance(0.7);
    // One sequence of max_len fits, and not much more: blocks are evicted and choices preempted.
    options.max_len = kMaxLen;
    if (random.chance(0.5)) options.kv_cache_bytes = kBlockBytes * (kMaxLen / 16 + random.below(8));
    order.resize(kRequests);
    std::iota(order.begin(), order.end(), size_t{0});
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    const int64_t longest = one_of(0, 0, 20'000, 200'000);
    for (int32_t i = 0; i < kRequests; ++i) gaps_us.push_back(random.between(0, longest));
  }

  std::string describe() const {
    return options.isa + ", " + std::to_string(options.threads) + " threads, " +
           std::to_string(options.slots) + " slots, steps of " +
           std::to_string(options.step_tokens) + " rows or " +
           std::to_string(options.stream_step / std::chrono::milliseconds(1)) + " ms, " +
           std::to_string(options.kv_cache_bytes / kBlockBytes) + " KV blocks, prefix cache " +
           (options.prefix_cache ? "on" : "off");
  }
};

struct Answer {
  std::vector<std::vector<int32_t>> ids;
  std::vector<std::vector<float>> logprobs;
  bool operator==(const Answer&) const = default;
};

Answer answer_of(const Output& output) {
  EXPECT_EQ(output.error, "");
  Answer answer{output.ids, {}};
  for (const auto& choice : output.logprobs) {
    std::vector<float>& values = answer.logprobs.emplace_back();
    for (const Logprob& each : choice) values.push_back(each.value);
  }
  return answer;
}

class DrawnCircumstances : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(path_)) GTEST_SKIP() << path_ << " is missing";
  }

  static std::vector<int32_t> slice_of(const std::vector<int32_t>& text, size_t begin,
                                       size_t count) {
    return {text.begin() + static_cast<ptrdiff_t>(begin),
            text.begin() + static_cast<ptrdiff_t>(begin + count)};
  }

  // Text as the model writes it, and requests about parts of it: greedy ones and seeded ones, some
  // that begin alike, some with several choices.
  std::vector<Request> make_requests(Harness& harness) {
    Request writer = greedy({1}, 400);
    writer.sampling.temperature = 1;
    writer.sampling.seed = 7;
    const std::vector<int32_t> text = harness.run(writer).ids[0];
    Random random(11);
    std::vector<Request> requests;
    for (int32_t i = 0; i < kRequests; ++i) {
      const bool alike = i % 2 == 0;
      const size_t count =
          static_cast<size_t>(random.between(alike ? 100 : 1, kMaxLen - kTokens - 1));
      const size_t begin = alike ? 0 : random.below(text.size() - count);
      std::vector<int32_t> prompt = slice_of(text, begin, count);
      prompt.push_back(static_cast<int32_t>(100 + i));
      Request request = greedy(std::move(prompt), kTokens);
      request.sampling.temperature = i % 3 == 0 ? 0.0f : 1.0f;
      request.sampling.seed = random.next();
      request.n = i % 5 == 4 ? 3 : 1;
      request.top_logprobs = 0;
      if (i % 4 == 1) {
        request.sampling.repetition_penalty = 1.1f;
        request.sampling.frequency_penalty = 0.3f;
        request.sampling.presence_penalty = 0.2f;
      }
      requests.push_back(std::move(request));
    }
    return requests;
  }

  static std::vector<Answer> run_under(Harness& harness, const Circumstances& drawn,
                                       const std::vector<Request>& requests) {
    std::vector<Request> shuffled;
    for (const size_t i : drawn.order) shuffled.push_back(requests[i]);
    const std::vector<Output> outputs = harness.run(shuffled, [&](size_t i) {
      std::this_thread::sleep_for(std::chrono::microseconds(drawn.gaps_us[i]));
    });
    std::vector<Answer> answers(requests.size());
    for (size_t i = 0; i < outputs.size(); ++i) answers[drawn.order[i]] = answer_of(outputs[i]);
    return answers;
  }

  // The same requests after each choice has delivered a drawn part of its answer elsewhere.
  static std::vector<Request> interrupt_all(const std::vector<Request>& requests,
                                            const std::vector<Answer>& answers, Random& random) {
    std::vector<Request> again;
    for (size_t i = 0; i < requests.size(); ++i) {
      again.push_back(interrupted(requests[i], answers[i].ids, random));
    }
    return again;
  }

  const std::string path_ = test::default_model_path();
};

// What `whole` says of the tokens that `request` had not delivered; all ids, their own logprobs.
Answer rest_of(const Answer& whole, const Request& request) {
  Answer rest = whole;
  for (size_t i = 0; i < request.resumed.size(); ++i) {
    std::vector<float>& values = rest.logprobs[i];
    values.erase(values.begin(), values.begin() + std::ssize(request.resumed[i].ids));
  }
  return rest;
}

TEST_F(DrawnCircumstances, AlwaysTheSameTokens) {
  HarnessOptions plain;
  plain.backend = "cpu";
  plain.kv_dtype = DType::f16;
  plain.threads = 1;
  plain.step_tokens = 512;
  plain.prefix_cache = false;
  const auto alone = Harness::make(plain, path_);
  ASSERT_TRUE(alone);
  const std::vector<Request> requests = make_requests(*alone);
  std::vector<Answer> expected;
  for (const Request& request : requests) expected.push_back(answer_of(alone->run(request)));

  uint64_t preemptions = 0, found = 0;
  const uint64_t first = test::environment("BESSEMER_SAME_FIRST", 1);
  const uint64_t count = test::environment("BESSEMER_SAME_SEEDS", 5);
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const Circumstances drawn(seed);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + drawn.describe());
    const auto harness = Harness::make(drawn.options, path_);
    ASSERT_TRUE(harness);
    Random random(seed);
    const std::vector<Request> again = interrupt_all(requests, expected, random);
    const bool resumed_cold = random.chance(0.5);
    for (const char* when : {"cold", "warm"}) {
      const bool resumed = resumed_cold == (when == std::string_view("cold"));
      const std::vector<Request>& asked = resumed ? again : requests;
      const std::vector<Answer> answers = run_under(*harness, drawn, asked);
      for (size_t i = 0; i < answers.size(); ++i) {
        const Answer rest = rest_of(expected[i], asked[i]);
        EXPECT_EQ(answers[i].ids, rest.ids) << when << resumed << ", request " << i;
        EXPECT_EQ(answers[i].logprobs, rest.logprobs) << when << resumed << ", request " << i;
      }
    }
    preemptions += harness->stats().preemptions;
    found += harness->stats().prefix_tokens_found;
  }
  std::printf("%llu circumstances: %llu preemptions, %llu prompt tokens found in the cache\n",
              static_cast<unsigned long long>(count), static_cast<unsigned long long>(preemptions),
              static_cast<unsigned long long>(found));
  if (count < 5) return;
  EXPECT_GT(preemptions, 0u);
  EXPECT_GT(found, 0u);
}

}  // namespace
}  // namespace bessemer::testing
