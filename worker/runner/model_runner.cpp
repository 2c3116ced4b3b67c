#include "worker/runner/model_runner.h"

#include <algorithm>
#include <utility>

#include "common/block_hash.h"
#include "common/check.h"
#include "common/log.h"
#include "worker/runner/host_memory.h"

namespace bessemer {
namespace {

// Programs of a StepKey.
constexpr int32_t kForward = 0, kOutput = 1;

// Rows of logits kept for a step: one for each sequence, and at least this many so that scoring a
// prompt moves on in slices. 64 rows of a vocabulary of 128k are 33 MB.
constexpr int32_t kMinLogitRows = 64;

// Rows [at, at + count).
Mat row_range(Mat mat, int32_t at, int32_t count) {
  DCHECK(at >= 0 && at + count <= mat.rows);
  mat.offset_bytes +=
      static_cast<size_t>(at) * static_cast<size_t>(mat.row_stride) * dtype_bytes(mat.dtype);
  mat.rows = count;
  return mat;
}

StatusOr<Limits> limits_of(const Model& model, const RunnerOptions& options) {
  Limits limits;
  limits.max_len = options.max_len > 0 ? options.max_len : model.max_len();
  if (limits.max_len > model.max_len()) {
    return absl::InvalidArgumentError("max_model_len = " + std::to_string(options.max_len) +
                                      " is more than the model was trained for: give at most " +
                                      std::to_string(model.max_len()));
  }
  if (limits.max_len < 2) {
    return absl::InvalidArgumentError(
        "max_model_len = 1 leaves no room: a prompt and its answer need at least 2 tokens");
  }
  limits.slots = options.slots;
  limits.rows = options.step_tokens;
  limits.vocab_size = model.vocab_size();
  limits.logit_rows = std::min(limits.rows, std::max(options.slots, kMinLogitRows));
  return limits;
}

KvLayout layout_of(const Model& model, DType dtype) {
  KvLayout layout = model.kv_layout();
  layout.dtype = dtype;
  int32_t groups = 0;
  for (const KvLayer& layer : layout.layers) groups = std::max(groups, layer.group + 1);
  CHECK(groups == 1);  // dividing memory between groups comes with the first model that has two
  layout.group_blocks.assign(static_cast<size_t>(groups), 1);
  return layout;
}

// Of the memory that the backend works in.
StatusOr<uint64_t> available_bytes(const Backend& backend) {
  if (const std::optional<uint64_t> own = backend.free_bytes()) return *own;
  return available_memory_bytes();
}

SampleInput sample_input(const Slot& slot, const Work& work) {
  const SamplingParams& p = slot.sampling;
  return {.params = &p,
          .stop_ids = slice(slot.tokens, p.stop_ids),
          .bias_ids = slice(slot.tokens, p.bias_ids),
          .allowed_ids = slice(slot.tokens, p.allowed_ids),
          .banned = slice(slot.tokens, p.banned),
          .bias = slice(slot.floats, p.bias),
          .history = slot.history,
          .prompt_len = slot.prompt_len,
          .choice = slot.choice,
          .top_logprobs = work.top_logprobs};
}

Fault fault_of(const Status& status) {
  return absl::IsAborted(status) ? Fault::group_lost : Fault::device;
}

}  // namespace

StatusOr<std::unique_ptr<ModelRunner>> ModelRunner::create(Backend& backend,
                                                           std::unique_ptr<Model> model,
                                                           const RunnerOptions& options) {
  ASSIGN_OR_RETURN(Limits limits, limits_of(*model, options));
  KvLayout layout = layout_of(*model, options.kv_dtype);
  const uint64_t block_bytes = kv_block_bytes(layout, 0);
  MemoryRequest request{.weight_bytes = model->weight_bytes(),
                        .kv_cache_bytes = options.kv_cache_bytes,
                        .kv_fraction = options.kv_fraction,
                        .block_bytes = block_bytes,
                        .block_tokens = layout.block_tokens,
                        .max_len = limits.max_len,
                        .slots = limits.slots};
  ASSIGN_OR_RETURN(request.available_bytes, available_bytes(backend));
  // First without what follows, whose tables of max_len positions are smaller than one sequence's
  // KV: an absurd length is refused before it is allocated for.
  RETURN_IF_ERROR(plan_memory(request).status());
  RETURN_IF_ERROR(model->reserve(backend, limits.rows, limits.logit_rows, limits.max_len));
  RETURN_IF_ERROR(backend.reserve_workspace(limits.rows, limits.logit_rows, model->vocab_size()));
  request.scratch_bytes = model->scratch_bytes();
  ASSIGN_OR_RETURN(request.available_bytes, available_bytes(backend));
  ASSIGN_OR_RETURN(MemoryPlan memory, plan_memory(request));
  layout.group_blocks[0] = memory.kv_blocks;
  ASSIGN_OR_RETURN(KvPoolPtr kv, backend.make_kv(layout));
  limits.groups.push_back({.block_tokens = layout.block_tokens,
                           .block_count = memory.kv_blocks,
                           .block_bytes = block_bytes});
  std::unique_ptr<ModelRunner> runner(
      new ModelRunner(backend, std::move(model), std::move(limits), memory, std::move(kv)));
  RETURN_IF_ERROR(runner->warm_up());
  return runner;
}

ModelRunner::ModelRunner(Backend& backend, std::unique_ptr<Model> model, Limits limits,
                         MemoryPlan memory, KvPoolPtr kv)
    : backend_(backend),
      model_(std::move(model)),
      limits_(std::move(limits)),
      memory_(memory),
      kv_(std::move(kv)),
      slots_(limits_),
      launched_(static_cast<size_t>(limits_.steps_in_flight), 0) {}

ModelRunner::~ModelRunner() {
  launched_.close();
  if (thread_.joinable()) thread_.join();
}

void ModelRunner::set_result_sink(std::function<void(StepResult)> sink) {
  CHECK(!thread_.joinable());
  sink_ = std::move(sink);
  thread_ = std::thread([this] { run_thread(); });
}

void ModelRunner::launch(StepPlan plan) {
  CHECK(launched_.push(std::move(plan)));  // the engine launches no more than steps_in_flight
}

void ModelRunner::run_thread() {
  std::vector<StepPlan> plans;
  while (launched_.wait_drain(plans)) {
    for (const StepPlan& plan : plans) sink_(execute(plan));
  }
}

// A token through all layers: maps weights in, wakes the pool, fills caches. Its KV is overwritten
// by whoever gets block 0.
Status ModelRunner::warm_up() {
  StepPlan plan;
  plan.open.push_back(
      {.history = append(plan.tokens, std::vector<int32_t>{0}), .sampling = {.temperature = 0}});
  plan.grow.push_back({.blocks = append(plan.ints, std::vector<int32_t>{0})});
  plan.work.push_back({.begin = 0, .count = 1, .want = Want::sample});
  slots_.apply(plan);
  prepare_step(plan, slots_, limits_, step_);
  const Status status = forward_and_sample(plan);
  StepPlan after;
  after.close.push_back(0);
  slots_.apply(after);
  return status;
}

StepResult ModelRunner::execute(const StepPlan& plan) {
  const TimePoint start = SteadyClock().now();
  StepResult result;
  result.id = plan.id;
  slots_.apply(plan);
  move_blocks(plan, result);
  prepare_step(plan, slots_, limits_, step_);
  if (!step_.inputs.ids.empty()) {
    const Status status = forward_and_sample(plan);
    if (!status.ok()) {
      log().error("step {} failed: {}", plan.id, status.ToString());
      result.fault = fault_of(status);
    }
  }
  collect(plan, result);
  if (result.fault == Fault::group_lost) slots_.clear();
  result.digest =
      content_hash({reinterpret_cast<const char*>(result.tokens.data()), result.tokens.size() * 4})
          .low;
  result.device_ns = (SteadyClock().now() - start).count();
  return result;
}

// Copies on write come before the rows that write. There is no other tier than the device here.
void ModelRunner::move_blocks(const StepPlan& plan, StepResult& result) {
  std::vector<KvMove> copies;
  for (const Move& move : plan.moves) {
    if (move.from_tier == Tier::device && move.to_tier == Tier::device) {
      copies.push_back({move.group, move.from, move.to});
    } else {
      result.failed_moves.push_back(move.id);
    }
  }
  if (!copies.empty()) backend_.move_kv(*kv_, copies);
}

Status ModelRunner::forward_and_sample(const StepPlan& plan) {
  const StepInputs& inputs = step_.inputs;
  StepKey key{.program = kForward,
              .rows = static_cast<int32_t>(inputs.ids.size()),
              .sequences = static_cast<int32_t>(inputs.query_start.size()) - 1,
              .longest_query = step_.longest_query,
              .kv_bucket = step_.longest_kv,
              .flags = step_.longest_query == 1 ? StepKey::kReplayable : 0};
  backend_.begin_step(inputs, batch_);
  Mat logits;
  Ticket ticket = backend_.run(key, [&] { logits = model_->forward(backend_, batch_, *kv_); });
  if (!inputs.out_rows.empty()) {
    key.program = kOutput;
    key.flags = 0;
    key.rows = static_cast<int32_t>(inputs.out_rows.size());
    ticket = backend_.run(key, [&] {
      issue_scores(logits);
      issue_draws(plan, logits);
    });
  }
  return backend_.wait(ticket, TimePoint::max());
}

// sample() takes neighbouring rows: one call where nothing is scored between them, as in nearly
// every step.
void ModelRunner::issue_draws(const StepPlan& plan, const Mat& logits) {
  const size_t count = step_.draws.size();
  sample_inputs_.clear();
  for (const Draw& draw : step_.draws) {
    const Work& work = plan.work[static_cast<size_t>(draw.work)];
    sample_inputs_.push_back(sample_input(slots_.at(work.slot), work));
  }
  drawn_.assign(count, {});
  for (size_t first = 0; first < count;) {
    size_t last = first + 1;
    while (last < count && step_.draws[last].logit_row == step_.draws[last - 1].logit_row + 1)
      ++last;
    backend_.sample(
        std::span(drawn_).subspan(first, last - first),
        row_range(logits, step_.draws[first].logit_row, static_cast<int32_t>(last - first)),
        std::span(sample_inputs_).subspan(first, last - first));
    first = last;
  }
}

void ModelRunner::issue_scores(const Mat& logits) {
  scored_.assign(step_.targets.size(), {});
  for (const ScoreRun& run : step_.scores) {
    backend_.score(std::span(scored_).subspan(static_cast<size_t>(run.targets.begin),
                                              static_cast<size_t>(run.targets.count)),
                   row_range(logits, run.logit_row, run.targets.count),
                   slice(step_.targets, run.targets), run.top);
  }
}

// Outcomes in the plan's order; drawn tokens join their histories.
void ModelRunner::collect(const StepPlan& plan, StepResult& result) {
  result.outcomes.resize(plan.work.size());
  for (size_t w = 0; w < plan.work.size(); ++w) {
    Slot& slot = slots_.at(plan.work[w].slot);
    if (result.fault != Fault::ok) slot.fault = result.fault;
    result.outcomes[w].fault = slot.fault;
    if (slot.fault == Fault::ok) slot.length = step_.end[w];
  }
  if (result.fault != Fault::ok) return;
  for (const ScoreRun& run : step_.scores) {
    const auto first = static_cast<int32_t>(result.logprobs.size());
    for (int32_t i = run.targets.begin; i < run.targets.begin + run.targets.count; ++i) {
      append(result.logprobs, scored_[static_cast<size_t>(i)]);
    }
    result.outcomes[static_cast<size_t>(run.work)].scores = {
        first, static_cast<int32_t>(result.logprobs.size()) - first};
  }
  for (size_t i = 0; i < step_.draws.size(); ++i) {
    const auto w = static_cast<size_t>(step_.draws[i].work);
    Slot& slot = slots_.at(plan.work[w].slot);
    Outcome& outcome = result.outcomes[w];
    outcome.fault = slot.fault = drawn_[i].fault;
    if (slot.fault != Fault::ok) continue;
    slot.history.push_back(drawn_[i].token);
    outcome.tokens = append(result.tokens, std::span(&drawn_[i].token, 1));
    outcome.logprobs = append(result.logprobs, drawn_[i].logprobs);
  }
}

}  // namespace bessemer
