// The backend for NVIDIA GPUs of compute capability 8.0 and later: one device, one stream, ops enqueued and not awaited.
#pragma once
#include <atomic>
#include <deque>
#include <functional>

#include "worker/backend/backend.h"
#include "worker/backend/cuda/gemm.h"
#include "worker/backend/cuda/kv_pool.h"
#include "worker/backend/cuda/recordings.h"
#include "worker/backend/cuda/steps.h"
#include "worker/backend/cuda/weight.h"
#include "worker/backend/cuda/workspace.h"

namespace bessemer::cuda {

class CudaBackend final : public Backend {
 public:
  // Device 0 of those that are visible. FailedPrecondition: none, or too old; else what could not be had.
  static StatusOr<std::unique_ptr<Backend>> make();
  ~CudaBackend() override;

  std::string numerics() const override { return "cuda-v1"; }

  StatusOr<std::unique_ptr<Buffer>> allocate(size_t bytes) override;
  StatusOr<WeightPtr> pack(std::span<const WeightPart> parts) override;
  StatusOr<KvPoolPtr> make_kv(const KvLayout& layout) override;
  StatusOr<RopeTablePtr> make_rope_table(std::span<const double> inverse_frequencies,
                                         int32_t max_positions, float attention_factor) override;
  std::optional<uint64_t> free_bytes() const override;
  Status reserve_workspace(int32_t rows, int32_t logit_rows, int32_t vocab_size) override;

  void begin_step(const StepInputs& inputs, Batch& batch) override;
  void move_kv(KvPool& kv, std::span<const KvMove> moves) override;
  Ticket run(StepKey key, const std::function<void()>& body) override;
  Status wait(Ticket ticket, TimePoint deadline) override;
  void abort() override { aborted_ = true; }

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
  void add_rms_norm(Mat out, Mat residual, const Mat& x, const Weight& w, float eps) override;
  void rope_store_kv(Mat q, Mat k, const Mat& v, KvPool& kv, int32_t layer, const Batch& batch,
                     const RopeTable& table, const RopeParams& p) override;

 private:
  // Steps whose work may not be done yet.
  struct Launched {
    Ticket ticket;
    Event done;
  };
  // What the host does with logits that have arrived; `logits` are rows x cols, dense.
  struct HostJob {
    Ticket ticket;
    std::function<void()> run;
  };
  CudaBackend(std::unique_ptr<Stream> stream, std::unique_ptr<Gemm> gemm, Workspace workspace,
              StepUploads steps, Memory logits, Memory ids, int32_t multiprocessors)
      : stream_(std::move(stream)),
        gemm_(std::move(gemm)),
        workspace_(std::move(workspace)),
        steps_(std::move(steps)),
        logits_(std::move(logits)),
        ids_(std::move(ids)),
        multiprocessors_(multiprocessors) {}

  bool stopped() const { return aborted_ || !fault_.ok(); }
  // Asked once by every op: whether it has nothing to launch, because the step stopped or is being replayed.
  bool skip() {
    ++ops_;
    return replaying_ || stopped();
  }
  void issue(const StepKey& key, const std::function<void()>& body);
  void replay(const Recordings::Recording& recording, const std::function<void()>& body);
  // Keeps the first error for wait().
  void note(const Status& status);
  StatusOr<Event> take_event();
  Status await(const Event& event, TimePoint deadline) const;
  void finish(Ticket ticket);

  // Which kernel multiplies `rows` rows with a segment. A few: tensor cores, with x
  // split beforehand; more: cuBLASLt.
  enum class Way : uint8_t { tiles, bf16, floats, large };
  static Way way_of(const CudaWeight::Segment& segment, int32_t rows);
  void small_product(Rows out, const ConstRows& x, const CudaWeight::Segment& segment, Way way);
  void tiles_in_slices(Rows out, const ConstRows& x, const CudaWeight::Segment& segment);
  // Both: false where cuBLASLt knows no way for the shape.
  bool large_product(Rows out, const ConstRows& x, const CudaWeight::Segment& segment);
  bool slice_product(Rows out, GemmOperand x, const CudaWeight::Segment& segment, int32_t inner);
  void sample_largest(std::span<SampleOutput> out, const Mat& logits);
  // Enqueues the copy of `logits` to the host; valid once the step is done.
  const float* fetch(const Mat& logits);

  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Gemm> gemm_;
  Workspace workspace_;
  StepUploads steps_;
  Memory logits_;  // pinned; the copies of one step lie one behind the other
  Memory ids_;     // what was drawn on the device, likewise
  size_t logits_used_ = 0, ids_used_ = 0;  // floats, ids
  int32_t multiprocessors_;
  std::deque<Launched> launched_;
  std::vector<Event> spare_events_;
  std::vector<HostJob> jobs_;
  uint64_t last_ticket_ = 0;
  Recordings recordings_;
  int64_t ops_ = 0;  // issued so far
  bool replaying_ = false;
  Status fault_;
  std::atomic<bool> aborted_ = false;
};

}  // namespace bessemer::cuda
