#include "worker/backend/cpu/cpu_backend.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>
#include <vector>

#include "common/check.h"
#include "kernels/cpu/kernels.h"
#include "worker/backend/cpu/cpu_count.h"
#include "worker/backend/cpu/packed_weight.h"
#include "worker/backend/cpu/paged_kv.h"
#include "worker/backend/cpu/thread_pool.h"
#include "worker/backend/host/memory.h"
#include "worker/sampling/sampler.h"

namespace bessemer::cpu {
namespace {

using kernels::Kernels;
using kernels::kTileRows;

// Rows whose activations are quantised at a time: a slice of weights serves them all, and they stay
// in the cache. Larger steps go slice by slice.
constexpr int32_t kSliceRows = 256;
// Below so many values an op over rows is done before another thread would have begun.
constexpr int64_t kValuesWorthSharing = 16 * 1024;

const PackedWeight& own(const Weight& weight) {
  return static_cast<const PackedWeight&>(weight);
}

int32_t ceil_div(int32_t a, int32_t b) {
  return (a + b - 1) / b;
}

// Bytes of one activation row: quants, then one ActivationBlock for each 32.
size_t activation_bytes(int32_t cols) {
  const auto count = static_cast<size_t>(cols);
  const size_t bytes = count + count / kernels::kBlock * sizeof(kernels::ActivationBlock);
  return (bytes + host::kAlignment - 1) / host::kAlignment * host::kAlignment;
}

kernels::Gate gate_of(Activation act) {
  switch (act) {
    case Activation::silu:
      return kernels::Gate::silu;
    case Activation::gelu:
      return kernels::Gate::gelu;
    case Activation::gelu_tanh:
      return kernels::Gate::gelu_tanh;
    case Activation::relu:
      break;
  }
  return kernels::Gate::relu;
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(const Kernels& kernels, std::unique_ptr<ThreadPool> pool)
      : kernels_(kernels), pool_(std::move(pool)) {}
  Status reserve_scratch();

  // One name for all instruction sets, since they give the same bits: int8 activations per 32,
  // first version.
  std::string numerics() const override { return "cpu-a8x32-v1"; }

  StatusOr<std::unique_ptr<Buffer>> allocate(size_t bytes) override {
    return host::HostBuffer::make(bytes);
  }
  StatusOr<WeightPtr> pack(std::span<const WeightPart> parts) override;
  StatusOr<KvPoolPtr> make_kv(const KvLayout& layout) override { return PagedKv::make(layout); }
  StatusOr<RopeTablePtr> make_rope_table(std::span<const double> inverse_frequencies,
                                         int32_t max_positions, float attention_factor) override {
    return host::HostRopeTable::make(inverse_frequencies, max_positions, attention_factor);
  }
  // What ops need was settled by pack() and at the start, whatever the number of rows.
  Status reserve_workspace(int32_t, int32_t, int32_t) override { return absl::OkStatus(); }

  void begin_step(const StepInputs& inputs, Batch& batch) override;
  void move_kv(KvPool& kv, std::span<const KvMove> moves) override;
  Ticket run(StepKey key, const std::function<void()>& body) override;
  Status wait(Ticket ticket, TimePoint deadline) override;
  void abort() override { pool_->abort(); }

  void embed(Mat out, const Batch& batch, const Weight& table) override;
  void get_rows(Mat out, const Mat& x, DeviceInts at) override;
  void linear(Mat out, const Mat& x, const Weight& w) override;
  void rms_norm(Mat out, const Mat& x, const Weight& w, float eps) override;
  void add(Mat inout, const Mat& x) override;
  void gated_act(Mat out, const Mat& gate_up, Activation act) override;
  void rope(Mat inout, const Batch& batch, const RopeTable& table, const RopeParams& p) override;
  void store_kv(KvPool& kv, int32_t layer, const Mat& k, const Mat& v, const Batch& batch) override;
  void attend(Mat out, const Mat& q, const KvPool& kv, int32_t layer, const Batch& batch,
              const AttentionParams& p) override;
  void all_gather_cols(Mat out, const Mat& x) override;
  void sample(std::span<SampleOutput> out, const Mat& logits,
              std::span<const SampleInput> inputs) override;
  void score(std::span<std::vector<Logprob>> out, const Mat& logits,
             std::span<const int32_t> targets, int32_t top) override;

 private:
  template <typename Function>
  void for_rows(int32_t rows, int32_t values_per_row, const Function& function);
  void quantize(const Mat& x);
  void matmul(const Mat& out, const Mat& x, const PackedWeight& w);
  void dot_rows(const Mat& out, const Mat& x, const PackedWeight& w);

  const Kernels& kernels_;
  const std::unique_ptr<ThreadPool> pool_;
  host::StepRing steps_;
  std::vector<int32_t> first_task_;     // of each sequence in attend(); sized by begin_step()
  host::Array<std::byte> activations_;  // kSliceRows rows of the widest quantised weight
  int32_t widest_ = 0;
  host::Array<float> scratch_;  // kernels::kAttentionScratch for each thread
  uint64_t last_ticket_ = 0;
};

Status CpuBackend::reserve_scratch() {
  scratch_ = host::allocate_array<float>(kernels::kAttentionScratch *
                                         static_cast<size_t>(pool_->threads()));
  if (!scratch_) return absl::ResourceExhaustedError("cannot allocate scratch for attention");
  return absl::OkStatus();
}

StatusOr<WeightPtr> CpuBackend::pack(std::span<const WeightPart> parts) {
  ASSIGN_OR_RETURN(WeightPtr weight, PackedWeight::pack(parts, *pool_));
  const PackedWeight& packed = own(*weight);
  if (packed.any_quantised() && packed.in_features() > widest_) {
    const size_t bytes = activation_bytes(packed.in_features()) * size_t{kSliceRows};
    activations_ = host::allocate_array<std::byte>(bytes);
    if (!activations_) {
      widest_ = 0;
      return absl::ResourceExhaustedError("cannot allocate " + std::to_string(bytes) +
                                          " bytes for quantised activations");
    }
    widest_ = packed.in_features();
  }
  return weight;
}

void CpuBackend::begin_step(const StepInputs& inputs, Batch& batch) {
  steps_.upload(inputs, batch);
  first_task_.resize(static_cast<size_t>(batch.sequences) + 1);
}

void CpuBackend::move_kv(KvPool& kv, std::span<const KvMove> moves) {
  for (const KvMove& move : moves) static_cast<PagedKv&>(kv).move(move);
}

// Eager: the work is done, or was aborted, when it returns.
Ticket CpuBackend::run(StepKey, const std::function<void()>& body) {
  const FloatMode mode;
  body();
  return Ticket{++last_ticket_};
}

Status CpuBackend::wait(Ticket, TimePoint) {
  if (pool_->aborted()) return absl::AbortedError("the cpu backend was told to abort");
  return absl::OkStatus();
}

// function(row) for each row, shared among the threads when that pays.
template <typename Function>
void CpuBackend::for_rows(int32_t rows, int32_t values_per_row, const Function& function) {
  const int64_t values = int64_t{rows} * values_per_row;
  const auto pieces = static_cast<int32_t>(
      std::clamp<int64_t>(values / kValuesWorthSharing, 1, 4 * int64_t{pool_->threads()}));
  const int32_t rows_per_task = std::max(ceil_div(rows, pieces), 1);
  pool_->run(ceil_div(rows, rows_per_task), [&](int32_t task, int32_t) {
    const int32_t end = std::min((task + 1) * rows_per_task, rows);
    for (int32_t row = task * rows_per_task; row < end; ++row) function(row);
  });
}

void CpuBackend::embed(Mat out, const Batch& batch, const Weight& table) {
  const PackedWeight& w = own(table);
  CHECK(out.rows == batch.rows && out.cols == w.in_features());
  for_rows(out.rows, out.cols,
           [&](int32_t row) { w.read_row(batch.ids.address[row], out.row<float>(row)); });
}

void CpuBackend::get_rows(Mat out, const Mat& x, DeviceInts at) {
  CHECK(out.rows == at.count && out.cols == x.cols);
  for_rows(out.rows, out.cols, [&](int32_t row) {
    const int32_t from = at.address[row];
    CHECK(from >= 0 && from < x.rows);
    std::memcpy(out.row<float>(row), x.row<float>(from),
                static_cast<size_t>(x.cols) * sizeof(float));
  });
}

void CpuBackend::linear(Mat out, const Mat& x, const Weight& weight) {
  const PackedWeight& w = own(weight);
  CHECK(out.rows == x.rows && out.cols == w.out_features() && x.cols == w.in_features());
  if (w.vector()) return dot_rows(out, x, w);
  for (int32_t first = 0; first < x.rows; first += kSliceRows) {
    const int32_t count = std::min(kSliceRows, x.rows - first);
    Mat out_slice = first_rows(out, count), x_slice = first_rows(x, count);
    out_slice.offset_bytes +=
        sizeof(float) * static_cast<size_t>(first) * static_cast<size_t>(out.row_stride);
    x_slice.offset_bytes +=
        sizeof(float) * static_cast<size_t>(first) * static_cast<size_t>(x.row_stride);
    if (w.any_quantised()) quantize(x_slice);
    matmul(out_slice, x_slice, w);
  }
}

void CpuBackend::quantize(const Mat& x) {
  CHECK(x.cols <= widest_ && x.rows <= kSliceRows);
  const size_t stride = activation_bytes(x.cols);
  for_rows(x.rows, x.cols, [&](int32_t row) {
    std::byte* to = activations_.get() + static_cast<size_t>(row) * stride;
    kernels_.quantize(x.row<float>(row), x.cols, reinterpret_cast<int8_t*>(to),
                      reinterpret_cast<kernels::ActivationBlock*>(to + x.cols));
  });
}

// One task is a run of tiles times a block of rows: the rows' activations stay in the second cache
// while the tiles pass.
void CpuBackend::matmul(const Mat& out, const Mat& x, const PackedWeight& w) {
  constexpr int32_t kRowsPerTask = 64;
  const int32_t row_blocks = ceil_div(x.rows, kRowsPerTask);
  for (const Segment& segment : w.segments()) {
    // Eight tasks a thread even out what other processes take; fewer than four tiles a task are not
    // worth a claim.
    const int32_t tiles = segment.tile_count();
    const int32_t wanted = std::max(8 * pool_->threads() / row_blocks, 1);
    const int32_t tiles_per_task = std::max(ceil_div(tiles, wanted), 4);
    const int32_t runs = ceil_div(tiles, tiles_per_task);
    const bool quantised = is_quantised(segment.format);
    const auto kernel = kernels_.matmul[static_cast<size_t>(segment.format)];
    pool_->run(runs * row_blocks, [&](int32_t task, int32_t) {
      const int32_t first_tile = task % runs * tiles_per_task,
                    first_row = task / runs * kRowsPerTask;
      const int32_t first = first_tile * kTileRows;
      const size_t stride =
          quantised ? activation_bytes(x.cols) : sizeof(float) * static_cast<size_t>(x.row_stride);
      const std::byte* rows = quantised ? activations_.get() : x.data();
      kernel({.tiles = segment.tiles + static_cast<size_t>(first_tile) * segment.tile_bytes,
              .tile_bytes = segment.tile_bytes,
              .outputs = std::min(tiles_per_task * kTileRows, segment.rows - first),
              .depth = x.cols,
              .x = rows + static_cast<size_t>(first_row) * stride,
              .x_stride_bytes = stride,
              .rows = std::min(kRowsPerTask, x.rows - first_row),
              .out = out.row<float>(first_row) + segment.first_row + first,
              .out_stride = out.row_stride,
              .bias = w.bias() ? w.bias() + segment.first_row + first : nullptr});
    });
  }
}

// A single output: one chain in order of the inputs, f32 times f32.
void CpuBackend::dot_rows(const Mat& out, const Mat& x, const PackedWeight& w) {
  for_rows(x.rows, x.cols, [&](int32_t row) {
    float sum = 0.0f;
    for (int32_t k = 0; k < x.cols; ++k) sum += x.row<float>(row)[k] * w.vector()[k];
    out.row<float>(row)[0] = w.bias() ? sum + *w.bias() : sum;
  });
}

void CpuBackend::rms_norm(Mat out, const Mat& x, const Weight& weight, float eps) {
  const PackedWeight& w = own(weight);
  CHECK(out.rows == x.rows && out.cols == x.cols);
  CHECK(w.vector() && w.in_features() == x.cols);
  for_rows(x.rows, x.cols, [&](int32_t row) {
    kernels_.rms_norm(out.row<float>(row), x.row<float>(row), w.vector(), x.cols, eps);
  });
}

void CpuBackend::add(Mat inout, const Mat& x) {
  CHECK(inout.rows == x.rows && inout.cols == x.cols);
  for_rows(x.rows, x.cols,
           [&](int32_t row) { kernels_.add(inout.row<float>(row), x.row<float>(row), x.cols); });
}

void CpuBackend::gated_act(Mat out, const Mat& gate_up, Activation act) {
  CHECK(out.rows == gate_up.rows && gate_up.cols == 2 * out.cols);
  for_rows(out.rows, gate_up.cols, [&](int32_t row) {
    const float* gate = gate_up.row<float>(row);
    kernels_.gated(out.row<float>(row), gate, gate + out.cols, out.cols, gate_of(act));
  });
}

void CpuBackend::rope(Mat inout, const Batch& batch, const RopeTable& table, const RopeParams& p) {
  const auto& angles = static_cast<const host::HostRopeTable&>(table);
  CHECK(inout.rows == batch.rows && inout.cols % p.head_dim == 0);
  CHECK(p.rotary_dim == 2 * angles.pairs() && p.rotary_dim <= p.head_dim);
  for_rows(inout.rows, inout.cols, [&](int32_t row) {
    const int32_t position = batch.positions.address[row];
    CHECK(position >= 0 && position < angles.positions());
    kernels_.rope(inout.row<float>(row), inout.cols / p.head_dim, p.head_dim, angles.pairs(),
                  p.interleaved, angles.cosines(position), angles.sines(position));
  });
}

void CpuBackend::store_kv(KvPool& kv, int32_t layer, const Mat& k, const Mat& v,
                          const Batch& batch) {
  auto& pool = static_cast<PagedKv&>(kv);
  const PagedKv::Layer& memory = pool.layer(layer);
  const KvLayer& shape = memory.shape;
  CHECK(shape.shares < 0 && k.rows == batch.rows && v.rows == batch.rows);
  CHECK(k.cols == shape.heads * shape.key_width && v.cols == shape.heads * shape.value_width);
  const DeviceInts store_at = batch.groups[static_cast<size_t>(shape.group)].store_at;
  const int32_t block_tokens = pool.block_tokens();
  const size_t width =
      memory.value_head_bytes / static_cast<size_t>(block_tokens * shape.value_width);
  for_rows(k.rows, k.cols + v.cols, [&](int32_t row) {
    const int32_t slot = store_at.address[row];
    if (slot < 0) return;
    CHECK(slot / block_tokens < pool.blocks(shape.group));
    const auto block = static_cast<size_t>(slot / block_tokens),
               at = static_cast<size_t>(slot % block_tokens);
    std::byte* keys = memory.keys + block * memory.key_block_bytes + at * width;
    std::byte* values = memory.values + block * memory.value_block_bytes +
                        at * width * static_cast<size_t>(shape.value_width);
    for (int32_t head = 0; head < shape.heads; ++head) {
      const auto h = static_cast<size_t>(head);
      kernels_.store_kv(keys + h * memory.key_head_bytes, block_tokens,
                        k.row<float>(row) + head * shape.key_width, shape.key_width, pool.type());
      kernels_.store_kv(values + h * memory.value_head_bytes, 1,
                        v.row<float>(row) + head * shape.value_width, shape.value_width,
                        pool.type());
    }
  });
}

// One task is up to kQueriesPerCall query heads that share a KV head of one sequence.
void CpuBackend::attend(Mat out, const Mat& q, const KvPool& kv, int32_t layer, const Batch& batch,
                        const AttentionParams& p) {
  const auto& pool = static_cast<const PagedKv&>(kv);
  const PagedKv::Layer& memory = pool.layer(layer);
  const KvLayer& shape = memory.shape;
  CHECK(p.kv_heads == shape.heads && p.query_heads % p.kv_heads == 0);
  CHECK(p.key_width == shape.key_width && p.value_width == shape.value_width);
  CHECK(q.cols == p.query_heads * p.key_width && out.cols == p.query_heads * p.value_width);
  CHECK(q.rows == batch.rows && out.rows == batch.rows);
  const Batch::Group& group = batch.groups[static_cast<size_t>(shape.group)];
  const int32_t* starts = batch.query_start.address;
  const int32_t heads = p.query_heads / p.kv_heads;
  const auto calls = [&](int32_t s) {
    return ceil_div((starts[s + 1] - starts[s]) * heads, kernels::kQueriesPerCall);
  };
  CHECK(first_task_.size() == static_cast<size_t>(batch.sequences) + 1);
  first_task_[0] = 0;
  for (int32_t s = 0; s < batch.sequences; ++s) {
    const auto i = static_cast<size_t>(s);
    first_task_[i + 1] = first_task_[i] + calls(s) * p.kv_heads;
  }
  pool_->run(first_task_.back(), [&](int32_t task, int32_t thread) {
    const auto after = std::upper_bound(first_task_.begin(), first_task_.end(), task);
    const auto s = static_cast<int32_t>(after - first_task_.begin()) - 1;
    const int32_t within = task - first_task_[static_cast<size_t>(s)];
    const int32_t kv_head = within / calls(s), call = within % calls(s), row = starts[s];
    const int32_t first_query = call * kernels::kQueriesPerCall;
    const auto h = static_cast<size_t>(kv_head);
    kernels_.attend(
        {.q = q.row<float>(row) + kv_head * heads * p.key_width,
         .q_stride = q.row_stride,
         .out = out.row<float>(row) + kv_head * heads * p.value_width,
         .out_stride = out.row_stride,
         .positions = batch.positions.address + row,
         .heads = heads,
         .first_query = first_query,
         .queries = std::min(kernels::kQueriesPerCall, (starts[s + 1] - row) * heads - first_query),
         .kv_len = group.kv_len.address[s],
         .causal = p.causal,
         .keys = memory.keys + h * memory.key_head_bytes,
         .values = memory.values + h * memory.value_head_bytes,
         .key_block_bytes = memory.key_block_bytes,
         .value_block_bytes = memory.value_block_bytes,
         .table = group.table.address + static_cast<ptrdiff_t>(s) * group.table_stride,
         .block_tokens = pool.block_tokens(),
         .key_width = p.key_width,
         .value_width = p.value_width,
         .type = pool.type(),
         .scale = p.scale,
         .scratch = scratch_.get() + static_cast<size_t>(thread) * kernels::kAttentionScratch});
  });
}

void CpuBackend::all_gather_cols(Mat out, const Mat& x) {
  CHECK(out.rows == x.rows && out.cols == x.cols);
  if (out.data() == x.data()) return;
  for_rows(x.rows, x.cols, [&](int32_t row) {
    std::memcpy(out.row<float>(row), x.row<float>(row),
                static_cast<size_t>(x.cols) * sizeof(float));
  });
}

void CpuBackend::sample(std::span<SampleOutput> out, const Mat& logits,
                        std::span<const SampleInput> inputs) {
  CHECK(out.size() == inputs.size() && static_cast<size_t>(logits.rows) == inputs.size());
  pool_->run(logits.rows, [&](int32_t row, int32_t) {
    const auto i = static_cast<size_t>(row);
    out[i] = sample_row({logits.row<float>(row), static_cast<size_t>(logits.cols)}, inputs[i]);
  });
}

void CpuBackend::score(std::span<std::vector<Logprob>> out, const Mat& logits,
                       std::span<const int32_t> targets, int32_t top) {
  CHECK(out.size() == targets.size() && static_cast<size_t>(logits.rows) == targets.size());
  pool_->run(logits.rows, [&](int32_t row, int32_t) {
    const auto i = static_cast<size_t>(row);
    out[i] = score_row({logits.row<float>(row), static_cast<size_t>(logits.cols)}, targets[i], top);
  });
}

StatusOr<const Kernels*> choose_kernels(const std::string& isa) {
  if (isa.empty()) return &kernels::best_kernels();
  if (const Kernels* found = kernels::find_kernels(isa)) return found;
  const std::string needed(kernels::needed_features(isa));
  if (needed.empty()) {
    return absl::InvalidArgumentError(
        "'" + isa + "' is no instruction set of the cpu backend; use scalar, avx2 or avx512");
  }
  return absl::FailedPreconditionError(
      "instruction set '" + isa + "' needs " + needed +
      ", which this machine lacks; leave the choice to the program");
}

}  // namespace

StatusOr<std::unique_ptr<Backend>> make_cpu_backend(const BackendOptions& options) {
  ASSIGN_OR_RETURN(const Kernels* kernels, choose_kernels(options.isa));
  const int32_t threads = options.threads > 0 ? options.threads : usable_processors();
  ASSIGN_OR_RETURN(std::unique_ptr<ThreadPool> pool, ThreadPool::make(threads));
  auto backend = std::make_unique<CpuBackend>(*kernels, std::move(pool));
  RETURN_IF_ERROR(backend->reserve_scratch());
  return std::unique_ptr<Backend>(std::move(backend));
}

std::string describe_cpu() {
  return std::string(kernels::best_kernels().name) + ", " + std::to_string(usable_processors()) +
         " threads";
}

}  // namespace bessemer::cpu
