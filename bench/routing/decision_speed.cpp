// One decision, as the router makes it: what the index has of the prompt, whom to look at, their
// loads, the policy. p50 and p99 over many prompts, none twice in a row, so that neither the index's
// slots nor the loads lie in a cache that a real router would not have.
//
// The fleet: each worker holds conversations that share one system prompt of 64 blocks with all
// others and are its own behind it; every 16th conversation is on three workers. A prompt is one of
// them with a new turn of a tenth.
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <string>

#include <benchmark/benchmark.h>

#include "router/cluster/prefix_chain.h"
#include "router/routing/placement.h"
#include "router/routing/prefix_look.h"

namespace bessemer {
namespace {

constexpr int32_t kBlockTokens = 16;
constexpr size_t kBlocksPerWorker = 16'384;
constexpr size_t kSystemBlocks = 64;
constexpr size_t kPrompts = 512;

struct Fleet {
  Fleet(size_t workers, size_t prompt_tokens)
      : random(workers), index(1, random.next()), pledged(1, random.next()) {
    for (size_t id = 0; id < workers; id++) {
      ids.push_back(static_cast<uint32_t>(id));
      loads.push_back(std::make_unique<LoadSlot>());
      loads.back()->reading.store(some_reading());
    }
    std::vector<int32_t> system(kSystemBlocks * kBlockTokens);
    for (auto& token : system) token = some_token();
    for (size_t i = 0; i < kPrompts; i++) {
      std::vector<int32_t> prompt = system;
      prompt.resize(prompt_tokens);
      for (size_t at = std::min(system.size(), prompt_tokens / 2); at < prompt_tokens; at++)
        prompt[at] = some_token();
      hold(prefix_chain(1, "", prompt, kBlockTokens), i);
      prompts.push_back(std::move(prompt));
    }
    fill();
  }

  int32_t some_token() { return static_cast<int32_t>(random.below(100'000)); }
  LoadReading some_reading() {
    LoadReading reading;
    reading.running = static_cast<uint32_t>(random.below(32));
    reading.prefill_tok_s = 5000;
    reading.step_slope_s = 0.0001F;
    reading.kv_total = 65'536;
    reading.kv_free = 40'000;
    reading.kv_cached = 30'000;
    return reading;
  }
  void hold(const std::vector<uint64_t>& chain, size_t prompt) {
    for (const uint32_t id : ids) {
      for (size_t i = 0; i < std::min(kSystemBlocks, chain.size()); i++) index.store(id, chain[i]);
    }
    for (size_t copy = 0; copy < (prompt % 16 == 0 ? 3u : 1u); copy++) {
      const auto worker = static_cast<uint32_t>(random.below(ids.size()));
      for (size_t i = 0; i < chain.size() * 9 / 10; i++) index.store(worker, chain[i]);
    }
  }
  void fill() {
    for (const uint32_t id : ids) {
      while (index.count(id) < kBlocksPerWorker) index.store(id, random.next());
    }
    while (index.tidy()) {
    }
  }

  Random random;
  KvIndex index, pledged;
  std::vector<uint32_t> ids;
  std::vector<std::unique_ptr<LoadSlot>> loads;
  std::vector<std::vector<int32_t>> prompts;
};

Fleet& fleet_of(size_t workers, size_t prompt_tokens) {
  static std::map<std::pair<size_t, size_t>, std::unique_ptr<Fleet>> fleets;
  auto& fleet = fleets[{workers, prompt_tokens}];
  if (fleet == nullptr) fleet = std::make_unique<Fleet>(workers, prompt_tokens);
  return *fleet;
}

Candidate candidate(const Fleet& fleet, const PrefixLook& look, uint32_t worker) {
  const LoadSlot& load = *fleet.loads[worker];
  Candidate one;
  one.worker = worker;
  one.reading = load.reading.load();
  one.sequences = load.sequences(one.reading);
  one.backlog_tokens = load.backlog();
  one.block_tokens = kBlockTokens;
  one.matched_tokens = int64_t{look.blocks(worker)} * kBlockTokens;
  return one;
}

void report(benchmark::State& state, std::vector<double>& seconds) {
  std::ranges::sort(seconds);
  const auto at = [&](double share) {
    return 1e6 * seconds[static_cast<size_t>(share * static_cast<double>(seconds.size() - 1))];
  };
  state.counters["p50_us"] = at(0.5);
  state.counters["p99_us"] = at(0.99);
}

template <typename Work>
void time_each(benchmark::State& state, Work&& work) {
  std::vector<double> seconds;
  size_t turn = 0;
  for (auto _ : state) {
    const auto begun = std::chrono::steady_clock::now();
    work(turn++ % kPrompts);
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
    state.SetIterationTime(seconds.back());
  }
  report(state, seconds);
}

void decide(benchmark::State& state) {
  Fleet& fleet = fleet_of(static_cast<size_t>(state.range(1)), static_cast<size_t>(state.range(0)));
  std::vector<std::vector<uint64_t>> chains;
  for (const auto& prompt : fleet.prompts)
    chains.push_back(prefix_chain(1, "", prompt, kBlockTokens));
  const auto policy = make_cache_aware();
  PrefixLook look;
  time_each(state, [&](size_t prompt) {
    PlacementInput input;
    input.prompt_tokens = state.range(0);
    look.ask(fleet.index, fleet.pledged, 0, chains[prompt]);
    std::vector<Candidate> candidates;
    for (const uint32_t worker : look.shortlist(fleet.ids, fleet.random))
      candidates.push_back(candidate(fleet, look, worker));
    Placement placement(input, {});
    benchmark::DoNotOptimize(placement.next(candidates, true, TimePoint{}, *policy, fleet.random));
  });
}

// The chain alone: once a prompt, where it is tokenised.
void hash_prompt(benchmark::State& state) {
  Fleet& fleet = fleet_of(8, static_cast<size_t>(state.range(0)));
  time_each(state, [&](size_t prompt) {
    benchmark::DoNotOptimize(prefix_chain(1, "", fleet.prompts[prompt], kBlockTokens));
  });
}

BENCHMARK(decide)
    ->ArgNames({"tokens", "workers"})
    ->ArgsProduct({{1'000, 100'000}, {8, 64, 512}})
    ->Iterations(20'000)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(hash_prompt)
    ->ArgName("tokens")
    ->Arg(1'000)
    ->Arg(100'000)
    ->Iterations(2'000)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace bessemer
