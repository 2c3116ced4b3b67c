// One draw per row: greedy, plain temperature, and each truncation, over vocabularies as models
// have them.
#include <cmath>

#include <benchmark/benchmark.h>

#include "common/random.h"
#include "worker/sampling/sampler.h"

namespace bessemer {
namespace {

// Logits shaped like a language model's: a broad bell about 15 below a few leaders.
std::vector<float> typical_row(int64_t vocab) {
  Random random(7);
  std::vector<float> row(static_cast<size_t>(vocab));
  for (float& x : row) {
    double sum = 0;
    for (int i = 0; i < 6; ++i) sum += random.uniform();
    x = static_cast<float>((sum - 3) * 3.0);
  }
  for (int i = 0; i < 50; ++i)
    row[random.below(row.size())] = static_cast<float>(8 + 8 * random.uniform());
  return row;
}

void draw(benchmark::State& state, SamplingParams params, int32_t top_logprobs) {
  const std::vector<float> row = typical_row(state.range(0));
  std::vector<int32_t> history(200, 5);
  SampleInput input;
  input.params = &params;
  input.prompt_len = 100;
  input.top_logprobs = top_logprobs;
  for (auto _ : state) {
    history.push_back(7);  // another position, other noise
    if (history.size() > 400) history.resize(200);
    input.history = history;
    benchmark::DoNotOptimize(sample_row(row, input));
  }
}
#define DRAW(name, ...)                      \
  BENCHMARK_CAPTURE(draw, name, __VA_ARGS__) \
      ->Arg(49'152)                          \
      ->Arg(128'256)                         \
      ->Unit(benchmark::kMicrosecond)
DRAW(greedy, SamplingParams{.temperature = 0}, -1);
DRAW(greedy_top_logprobs_5, SamplingParams{.temperature = 0}, 5);
DRAW(temperature, SamplingParams{.temperature = 0.8f}, -1);
DRAW(top_k_40, SamplingParams{.top_k = 40}, -1);
DRAW(top_p_095, SamplingParams{.top_p = 0.95f}, -1);
DRAW(top_k_40_top_p_095, SamplingParams{.top_p = 0.95f, .top_k = 40}, -1);
DRAW(min_p_005, SamplingParams{.min_p = 0.05f}, -1);
DRAW(typical_p_095, SamplingParams{.typical_p = 0.95f}, -1);
DRAW(penalties, SamplingParams{.presence_penalty = 0.5f}, -1);
#undef DRAW

}  // namespace
}  // namespace bessemer
