// Executes plans in order on one rank: a thread that owns model, KV pool and slot tables.
#pragma once
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "common/mailbox.h"
#include "common/status.h"
#include "worker/backend/backend.h"
#include "worker/engine/runner.h"
#include "worker/model/model.h"
#include "worker/runner/batch_builder.h"
#include "worker/runner/memory_plan.h"
#include "worker/runner/slot_table.h"

namespace bessemer {

struct RunnerOptions {
  int32_t max_len = 0;        // tokens of one sequence; 0: what the model was trained for
  int32_t slots = 64;         // sequences open at once
  int32_t step_tokens = 512;  // rows of one step
  DType kv_dtype = DType::f16;
  uint64_t kv_cache_bytes = 0;  // 0: kv_fraction of what is available
  double kv_fraction = 0.3;
};

class ModelRunner final : public Runner {
 public:
  // Takes activations, workspace and KV, in this order, and runs one step so that the first request
  // finds warm caches. ResourceExhausted: see plan_memory. `backend` outlives the runner.
  static StatusOr<std::unique_ptr<ModelRunner>> create(Backend& backend,
                                                       std::unique_ptr<Model> model,
                                                       const RunnerOptions& options);
  // Executes what was launched, then ends the thread.
  ~ModelRunner() override;

  const Limits& limits() const override { return limits_; }
  void set_result_sink(std::function<void(StepResult)> sink) override;  // starts the thread
  void launch(StepPlan plan) override;

  const MemoryPlan& memory() const { return memory_; }
  const Model& model() const { return *model_; }

 private:
  ModelRunner(Backend& backend, std::unique_ptr<Model> model, Limits limits, MemoryPlan memory,
              KvPoolPtr kv);

  void run_thread();
  Status warm_up();
  StepResult execute(const StepPlan& plan);
  void move_blocks(const StepPlan& plan, StepResult& result);
  Status forward_and_sample(const StepPlan& plan);
  void issue_draws(const StepPlan& plan, const Mat& logits);
  void issue_scores(const Mat& logits);
  void collect(const StepPlan& plan, StepResult& result);

  Backend& backend_;
  const std::unique_ptr<Model> model_;
  const Limits limits_;
  const MemoryPlan memory_;
  const KvPoolPtr kv_;
  SlotTable slots_;
  PreparedStep step_;  // reused, so that a step allocates little
  Batch batch_;
  std::vector<SampleInput> sample_inputs_;
  std::vector<SampleOutput> drawn_;
  std::vector<std::vector<Logprob>> scored_;
  Mailbox<StepPlan> launched_;
  std::function<void(StepResult)> sink_;
  std::thread thread_;
};

}  // namespace bessemer
