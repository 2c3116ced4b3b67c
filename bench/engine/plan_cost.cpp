// plan() + commit() per step with every slot decoding: what the engine thread adds between two
// steps.
#include <benchmark/benchmark.h>

#include "worker/engine/scheduler.h"

namespace bessemer {
namespace {

constexpr int32_t kPrompt = 128, kMaxLen = 1 << 20;

Limits limits_for(int32_t running) {
  Limits limits;
  limits.slots = limits.logit_rows = running;
  limits.rows = 2048;
  limits.max_len = kMaxLen;
  limits.vocab_size = 50'000;
  limits.groups.push_back({.block_tokens = 16, .block_count = running * 1024});
  return limits;
}

Request endless_request(int32_t id) {
  Request request;
  request.id = AttemptId{static_cast<uint64_t>(id)};
  request.prompt.assign(kPrompt, id);
  request.max_tokens = 16'000;
  const std::vector<int32_t> stop = {2};
  request.sampling.stop_ids = append(request.tokens, stop);
  return request;
}

StepResult fabricated(const StepPlan& plan) {
  StepResult result;
  result.id = plan.id;
  for (const Work& work : plan.work) {
    Outcome outcome;
    if (work.want == Want::sample) outcome.tokens = append(result.tokens, std::vector<int32_t>{7});
    result.outcomes.push_back(outcome);
  }
  return result;
}

void decode_step(benchmark::State& state) {
  const int32_t running = static_cast<int32_t>(state.range(0));
  Scheduler scheduler({.step_tokens = 2048, .max_waiting = 1024}, limits_for(running));
  TimePoint now{};
  for (int32_t id = 1; id <= running; ++id) scheduler.add(endless_request(id), now);
  const auto step = [&](bool timed) {
    const auto plan = scheduler.plan(now);
    if (timed) state.PauseTiming();
    const StepResult result = fabricated(*plan);
    now += std::chrono::milliseconds(1);
    if (timed) state.ResumeTiming();
    scheduler.commit(result, now);
    benchmark::DoNotOptimize(scheduler.take_events());
  };
  while (scheduler.stats().slots_open < running || scheduler.stats().backlog_tokens > 0)
    step(false);
  for (auto _ : state) step(true);
}
// The iterations stay below max_tokens.
BENCHMARK(decode_step)->Arg(1)->Arg(64)->Arg(512)->Iterations(8'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace bessemer
