// Engine, runner and a backend over a model file, in one process: requests in, tokens out.
#pragma once
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/random.h"
#include "worker/backend/registry.h"
#include "worker/engine/engine.h"
#include "worker/format/gguf.h"
#include "worker/runner/model_runner.h"

namespace bessemer::testing {

struct HarnessOptions {
  std::string backend = "reference", isa;
  int32_t threads = 0, slots = 16, step_tokens = 64, max_len = 512;
  DType kv_dtype = DType::f32;
  bool prefix_cache = true;
  Duration stream_step{};
  uint64_t kv_cache_bytes = 64u << 20;
};

struct Output {
  std::vector<std::vector<int32_t>> ids;       // per choice; of a resumed one all, from the first
  std::vector<std::vector<Logprob>> logprobs;  // per choice, as the events gave them
  std::vector<Logprob> prompt_scores;
  std::vector<EndReason> ends;
  Usage usage;
  std::string error;  // of a rejection or failure
};

class Harness {
 public:
  // Null, with the reason on stderr, when backend or model cannot be had.
  static std::unique_ptr<Harness> make(const HarnessOptions& options,
                                       const std::string& model_path);
  ~Harness();

  // Submits them in this order, `gap(i)` before number i, and waits for the last of them; ids are
  // given here.
  std::vector<Output> run(
      std::vector<Request> requests, const std::function<void(size_t)>& gap = [](size_t) {});
  Output run(Request request) { return run(std::vector{std::move(request)})[0]; }
  EngineStats stats() const { return engine_->stats(); }
  const ModelRunner& runner() const { return *runner_; }

 private:
  Harness() = default;
  void take(std::vector<EngineEvent> events);

  SteadyClock clock_;
  std::shared_ptr<const GgufFile> file_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<ModelRunner> runner_;
  std::mutex mutex_;
  std::condition_variable done_;
  std::map<AttemptId, Output> outputs_;
  size_t open_ = 0;
  uint64_t next_id_ = 1;
  std::unique_ptr<Engine> engine_;
};

// `request` after each choice has delivered a drawn part of `whole`, its undisturbed answer.
Request interrupted(Request request, const std::vector<std::vector<int32_t>>& whole,
                    Random& random);

// Greedy, `max_tokens` long, without stop ids.
Request greedy(std::vector<int32_t> prompt, int32_t max_tokens);

}  // namespace bessemer::testing
