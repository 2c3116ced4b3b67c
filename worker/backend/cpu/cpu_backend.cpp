#include "worker/backend/cpu/cpu_backend.h"

#include "worker/backend/cpu/cpu_count.h"

namespace bessemer::cpu {

StatusOr<std::unique_ptr<Backend>> CpuBackend::make(const kernels::Kernels& kernels,
                                                    int32_t threads) {
  ASSIGN_OR_RETURN(std::unique_ptr<ThreadPool> pool, ThreadPool::make(threads));
  const auto count = static_cast<size_t>(threads);
  host::Array<float> scratch = host::allocate_array<float>(kernels::kAttentionScratch * count);
  host::Array<float> partials = host::allocate_array<float>(AttendPlan::kPartialFloats * count);
  if (!scratch || !partials) {
    return absl::ResourceExhaustedError("cannot allocate memory for attention by " +
                                        std::to_string(threads) + " threads; use fewer");
  }
  return std::unique_ptr<Backend>(
      new CpuBackend(kernels, std::move(pool), std::move(scratch), std::move(partials)));
}

// One name for all instruction sets, since they give the same bits: int8 activations per 32
// with outliers apart, second version.
std::string CpuBackend::numerics() const {
  return "cpu-a8x32-v2";
}

StatusOr<std::unique_ptr<Buffer>> CpuBackend::allocate(size_t bytes) {
  return host::HostBuffer::make(bytes);
}

size_t activation_bytes(int32_t cols) {
  return host::round_up(kernels::activation_row_bytes(cols));
}

StatusOr<WeightPtr> CpuBackend::pack(std::span<const WeightPart> parts) {
  ASSIGN_OR_RETURN(WeightPtr weight, PackedWeight::pack(parts, *pool_));
  if (!own(*weight).any_quantised() || weight->in_features() <= widest_) return weight;
  const size_t bytes = activation_bytes(weight->in_features()) * size_t{kSliceRows};
  const size_t each = host::round_up(kernels_.matmul_scratch(weight->in_features()));
  const size_t scratch_bytes = each * static_cast<size_t>(pool_->threads());
  host::Array<std::byte> wider = host::allocate_array<std::byte>(bytes);
  host::Array<std::byte> scratch = host::allocate_array<std::byte>(scratch_bytes);
  if (!wider || !scratch) {
    return absl::ResourceExhaustedError("cannot allocate " + std::to_string(bytes + scratch_bytes) +
                                        " bytes for quantised activations");
  }
  activations_ = std::move(wider);
  product_scratch_ = std::move(scratch);
  product_scratch_bytes_ = each;
  widest_ = weight->in_features();
  return weight;
}

StatusOr<KvPoolPtr> CpuBackend::make_kv(const KvLayout& layout) {
  return PagedKv::make(layout);
}

StatusOr<RopeTablePtr> CpuBackend::make_rope_table(std::span<const double> inverse_frequencies,
                                                   int32_t max_positions, float attention_factor) {
  return host::HostRopeTable::make(inverse_frequencies, max_positions, attention_factor);
}

// What ops need was settled at the start and by pack(), whatever the number of rows.
Status CpuBackend::reserve_workspace(int32_t, int32_t, int32_t) {
  return absl::OkStatus();
}

void CpuBackend::begin_step(const StepInputs& inputs, Batch& batch) {
  steps_.upload(inputs, batch);
  plan_.reserve(batch.sequences);
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

void CpuBackend::abort() {
  pool_->abort();
}

namespace {

StatusOr<const kernels::Kernels*> choose_kernels(const std::string& isa) {
  if (isa.empty()) return &kernels::best_kernels();
  if (const kernels::Kernels* found = kernels::find_kernels(isa)) return found;
  const std::string needed(kernels::needed_features(isa));
  if (needed.empty()) {
    return absl::InvalidArgumentError(
        "'" + isa + "' is no instruction set of the cpu backend; use scalar, avx2, avx512 or amx");
  }
  return absl::FailedPreconditionError(
      "instruction set '" + isa + "' needs " + needed +
      ", which this machine lacks; leave the choice to the program");
}

}  // namespace

StatusOr<std::unique_ptr<Backend>> make_cpu_backend(const BackendOptions& options) {
  ASSIGN_OR_RETURN(const kernels::Kernels* kernels, choose_kernels(options.isa));
  return CpuBackend::make(*kernels, options.threads > 0 ? options.threads : usable_processors());
}

std::string describe_cpu() {
  return std::string(kernels::best_kernels().name) + ", " + std::to_string(usable_processors()) +
         " threads";
}

}  // namespace bessemer::cpu
