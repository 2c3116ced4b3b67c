// The fast backend for x86-64: packed weights, int8 activations, one thread pool. Its arithmetic is
// in kernels/cpu/generic and in worker/backend/README.md; every instruction set, thread count and
// batch gives the same bits.
#pragma once
#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cpu/kernels.h"
#include "worker/backend/backend.h"
#include "worker/backend/cpu/attend_plan.h"
#include "worker/backend/cpu/ceil_div.h"
#include "worker/backend/cpu/packed_weight.h"
#include "worker/backend/cpu/paged_kv.h"
#include "worker/backend/cpu/thread_pool.h"
#include "worker/backend/host/memory.h"
#include "worker/backend/registry.h"

namespace bessemer::cpu {

// InvalidArgument: no such instruction set; FailedPrecondition: this machine lacks it.
StatusOr<std::unique_ptr<Backend>> make_cpu_backend(const BackendOptions& options);

// "avx2, 2 threads"
std::string describe_cpu();

class CpuBackend final : public Backend {
 public:
  static StatusOr<std::unique_ptr<Backend>> make(const kernels::Kernels& kernels, int32_t threads);

  // Start-up, movement and control: cpu_backend.cpp
  std::string numerics() const override;
  StatusOr<std::unique_ptr<Buffer>> allocate(size_t bytes) override;
  StatusOr<WeightPtr> pack(std::span<const WeightPart> parts) override;
  StatusOr<KvPoolPtr> make_kv(const KvLayout& layout) override;
  StatusOr<RopeTablePtr> make_rope_table(std::span<const double> inverse_frequencies,
                                         int32_t max_positions, float attention_factor) override;
  Status reserve_workspace(int32_t rows, int32_t logit_rows, int32_t vocab_size) override;
  void begin_step(const StepInputs& inputs, Batch& batch) override;
  void move_kv(KvPool& kv, std::span<const KvMove> moves) override;
  Ticket run(StepKey key, const std::function<void()>& body) override;
  Status wait(Ticket ticket, TimePoint deadline) override;
  void abort() override;

  // Each row by itself: rows.cpp
  void embed(Mat out, const Batch& batch, const Weight& table) override;
  void get_rows(Mat out, const Mat& x, DeviceInts at) override;
  void rms_norm(Mat out, const Mat& x, const Weight& w, float eps) override;
  void add_rms_norm(Mat out, Mat residual, const Mat& x, const Weight& w, float eps) override;
  void add(Mat inout, const Mat& x) override;
  void gated_act(Mat out, const Mat& gate_up, Activation act) override;
  void rope(Mat inout, const Batch& batch, const RopeTable& table, const RopeParams& p) override;
  void all_gather_cols(Mat out, const Mat& x) override;
  void sample(std::span<SampleOutput> out, const Mat& logits,
              std::span<const SampleInput> inputs) override;
  void score(std::span<std::vector<Logprob>> out, const Mat& logits,
             std::span<const int32_t> targets, int32_t top) override;

  // products.cpp
  void linear(Mat out, const Mat& x, const Weight& w) override;

  // attention.cpp
  void store_kv(KvPool& kv, int32_t layer, const Mat& k, const Mat& v, const Batch& batch) override;
  void rope_store_kv(Mat q, Mat k, const Mat& v, KvPool& kv, int32_t layer, const Batch& batch,
                     const RopeTable& table, const RopeParams& p) override;
  void attend(Mat out, const Mat& q, const KvPool& kv, int32_t layer, const Batch& batch,
              const AttentionParams& p) override;

 private:
  // Rows whose activations are quantised at a time: what is read of the weights serves them all,
  // and larger steps go slice by slice, so that the workspace does not depend on the step.
  static constexpr int32_t kSliceRows = 256;
  // Below so many values an op over rows is done before another thread would have begun.
  static constexpr int64_t kValuesWorthSharing = 16 * 1024;

  // Of a unit of attention whose chunks are done by several tasks.
  struct alignas(64) SplitUnit {
    std::atomic<int32_t> left = 0;  // tasks of this pass
    kernels::SoFar so_far[kernels::kQueriesPerCall];
  };

  CpuBackend(const kernels::Kernels& kernels, std::unique_ptr<ThreadPool> pool,
             host::Array<float> scratch, host::Array<float> partials)
      : kernels_(kernels),
        pool_(std::move(pool)),
        scratch_(std::move(scratch)),
        partials_(std::move(partials)),
        split_units_(static_cast<size_t>(pool_->threads()) * AttendPlan::kSplitUnits),
        plan_(pool_->threads()) {}

  static const PackedWeight& own(const Weight& weight) {
    return static_cast<const PackedWeight&>(weight);
  }
  // function(row) for each row, shared among the threads when that pays.
  template <typename Function>
  void for_rows(int32_t rows, int32_t values_per_row, const Function& function);

  void quantize(const Mat& x);
  void multiply(const Mat& out, const Mat& x, const PackedWeight& w, const Segment& segment);
  void dot_rows(const Mat& out, const Mat& x, const PackedWeight& w);
  void run_task(const AttendTask& task, const kernels::AttentionArgs& args);

  const kernels::Kernels& kernels_;
  const std::unique_ptr<ThreadPool> pool_;
  const host::Array<float> scratch_;        // kernels::kAttentionScratch for each thread
  const host::Array<float> partials_;       // AttendPlan::kPartialFloats for each thread
  std::vector<SplitUnit> split_units_;      // AttendPlan::kSplitUnits for each thread
  AttendPlan plan_;                         // of attend(); room for the largest step so far
  host::Array<std::byte> activations_;      // kSliceRows rows of the widest quantised weight
  int32_t widest_ = 0;                      // its columns
  host::Array<std::byte> product_scratch_;  // kernels' matmul_scratch() of those for each thread
  size_t product_scratch_bytes_ = 0;        // a thread's
  host::StepRing steps_;
  uint64_t last_ticket_ = 0;
};

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

// Bytes from one row of quantised activations (kernels/cpu/layout.h) to the next.
size_t activation_bytes(int32_t cols);

}  // namespace bessemer::cpu
