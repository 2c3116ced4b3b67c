#include "tests/runner/harness.h"

#include <cstdio>
#include <utility>

#include "worker/model/registry.h"

namespace bessemer::testing {

std::unique_ptr<Harness> Harness::make(const HarnessOptions& options,
                                       const std::string& model_path) {
  std::unique_ptr<Harness> h(new Harness);
  const auto build = [&]() -> Status {
    ASSIGN_OR_RETURN(h->file_, GgufFile::open(model_path));
    BackendOptions backend;
    backend.threads = options.threads;
    backend.isa = options.isa;
    ASSIGN_OR_RETURN(h->backend_, make_backend(options.backend, backend));
    ASSIGN_OR_RETURN(auto model, load_model(*h->file_, *h->backend_, Rank{}));
    RunnerOptions run;
    run.max_len = options.max_len;
    run.slots = options.slots;
    run.step_tokens = options.step_tokens;
    run.kv_dtype = options.kv_dtype;
    run.kv_cache_bytes = options.kv_cache_bytes;
    ASSIGN_OR_RETURN(h->runner_, ModelRunner::create(*h->backend_, std::move(model), run));
    return absl::OkStatus();
  };
  if (const Status status = build(); !status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return nullptr;
  }
  EngineOptions engine;
  engine.step_tokens = options.step_tokens;
  engine.prefix_cache = options.prefix_cache;
  engine.stream_step = options.stream_step;
  h->engine_ = std::make_unique<Engine>(
      engine, *h->runner_, h->clock_,
      [raw = h.get()](StepId, std::vector<EngineEvent> events) { raw->take(std::move(events)); });
  return h;
}

Harness::~Harness() {
  if (engine_) engine_->stop();
}

std::vector<Output> Harness::run(std::vector<Request> requests,
                                 const std::function<void(size_t)>& gap) {
  std::vector<AttemptId> ids;
  {
    std::lock_guard lock(mutex_);
    open_ = requests.size();
    for (Request& request : requests) {
      ids.push_back(request.id = AttemptId{next_id_++});
      Output& output = outputs_[request.id];
      output.ids.resize(static_cast<size_t>(request.n));
      output.logprobs.resize(static_cast<size_t>(request.n));
      output.ends.resize(static_cast<size_t>(request.n));
      for (size_t i = 0; i < request.resumed.size(); ++i) output.ids[i] = request.resumed[i].ids;
    }
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    gap(i);
    CHECK(engine_->submit(std::move(requests[i])));
  }
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return open_ == 0; });
  std::vector<Output> outputs;
  for (const AttemptId id : ids) outputs.push_back(std::move(outputs_.extract(id).mapped()));
  return outputs;
}

void Harness::take(std::vector<EngineEvent> events) {
  std::lock_guard lock(mutex_);
  for (const EngineEvent& event : events) {
    Output& output = outputs_.at(event.attempt);
    if (const auto* tokens = std::get_if<Tokens>(&event.what)) {
      auto& ids = output.ids[static_cast<size_t>(tokens->choice)];
      CHECK(static_cast<size_t>(tokens->offset) == ids.size());
      append(ids, tokens->ids);
      append(output.logprobs[static_cast<size_t>(tokens->choice)], tokens->logprobs);
    } else if (const auto* scores = std::get_if<PromptScores>(&event.what)) {
      append(output.prompt_scores, scores->logprobs);
    } else if (const auto* end = std::get_if<ChoiceEnd>(&event.what)) {
      output.ends[static_cast<size_t>(end->choice)] = end->reason;
    } else if (const auto* done = std::get_if<Done>(&event.what)) {
      output.usage = done->usage;
      --open_;
    } else if (const auto* failed = std::get_if<Failed>(&event.what)) {
      output.error = "failed: " + failed->detail;
      --open_;
    } else if (const auto* rejected = std::get_if<Rejected>(&event.what)) {
      output.error = "rejected: " + rejected->detail;
      --open_;
    }
  }
  if (open_ == 0) done_.notify_all();
}

Request interrupted(Request request, const std::vector<std::vector<int32_t>>& whole,
                    Random& random) {
  for (const std::vector<int32_t>& ids : whole) {
    const auto delivered = static_cast<ptrdiff_t>(random.below(ids.size() + 1));
    request.resumed.push_back({{ids.begin(), ids.begin() + delivered}, false});
  }
  return request;
}

Request greedy(std::vector<int32_t> prompt, int32_t max_tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  return request;
}

}  // namespace bessemer::testing
