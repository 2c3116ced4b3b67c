// The one interface between model code and devices: a closed vocabulary of ops, issued eagerly,
// recordable.
//
// Rules
//   B1  No op names a model and no op asks a question. A backend overrides a fused op or inherits
//       the composition.
//   B2  Ops never allocate, never block, never read device memory from the host.
//   B3  pack() is the only call that may refuse a format.
//   B4  Same StepKey => same ops on the same addresses; bodies issue ops and do nothing else.
//   B5  A row's result depends on that row's inputs only, bit for bit, where the backend promises
//       E5 (the CPU ones do).
//
// An op is added with a reference body, a contract test (tests/contract) and a decision record.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "worker/backend/batch.h"
#include "worker/backend/kv.h"
#include "worker/backend/mat.h"
#include "worker/backend/weight.h"
#include "worker/sampling/sampler.h"

namespace bessemer {

struct RopeParams {
  int32_t head_dim = 0;
  int32_t rotary_dim = 0;  // leading values of a head that are rotated; even
  // Pairs (0, 1), (2, 3)... as in GGUF's permuted Llama; else (0, d / 2), (1, d / 2 + 1)...
  bool interleaved = false;
};
struct AttentionParams {
  int32_t query_heads = 0, kv_heads = 0;  // query head h reads KV head h / (query_heads / kv_heads)
  int32_t key_width = 0, value_width = 0;
  float scale = 0;
  bool causal = true;  // a row sees positions up to its own; else all that are stored
};
enum class Activation : uint8_t { silu, gelu, gelu_tanh, relu };

// Names a recordable program. The CPU runs it eagerly; a GPU may capture and replay.
struct StepKey {
  // Of `flags`: the body's ops and their shapes follow from this key and the latest batch's shape
  // alone, so a backend may record it once, and later replay what it recorded and let the ops do
  // nothing.
  static constexpr uint32_t kReplayable = 1;

  int32_t program = 0, rows = 0, sequences = 0, longest_query = 0, kv_bucket = 0;
  uint32_t flags = 0;
  bool operator==(const StepKey&) const = default;
};
enum class Ticket : uint64_t {};

class Backend {
 public:
  virtual ~Backend() = default;
  // "reference", "cpu-a8x32-v2": names the arithmetic; part of the model card's numerics.
  virtual std::string numerics() const = 0;

  // Start-up ------------------------------------------------------------------------------------
  // Zeroed memory.
  virtual StatusOr<std::unique_ptr<Buffer>> allocate(size_t bytes) = 0;
  // Stacks the parts by rows. InvalidArgument names the part whose format or shape it refuses.
  virtual StatusOr<WeightPtr> pack(std::span<const WeightPart> parts) = 0;
  virtual StatusOr<KvPoolPtr> make_kv(const KvLayout& layout) = 0;
  // inverse_frequencies: rotary_dim / 2 values; cos and sin are multiplied by attention_factor
  // (YaRN; else 1).
  virtual StatusOr<RopeTablePtr> make_rope_table(std::span<const double> inverse_frequencies,
                                                 int32_t max_positions, float attention_factor) = 0;
  // Bytes that weights, KV and buffers may still take; nullopt: they take the host's memory.
  virtual std::optional<uint64_t> free_bytes() const { return std::nullopt; }
  // Reserves what ops need beside their operands for steps of up to `rows` rows and `logit_rows`
  // logit rows.
  virtual Status reserve_workspace(int32_t rows, int32_t logit_rows, int32_t vocab_size) = 0;

  // Movement and control ------------------------------------------------------------------------
  // Fills `batch`; it stays readable until the second begin_step() after this one.
  virtual void begin_step(const StepInputs& inputs, Batch& batch) = 0;
  virtual void move_kv(KvPool& kv, std::span<const KvMove> moves) = 0;
  virtual Ticket run(StepKey key, const std::function<void()>& body) = 0;
  // OK when the ticket's work is done; DeadlineExceeded or Aborted otherwise.
  virtual Status wait(Ticket ticket, TimePoint deadline) = 0;
  // From any thread: everything running ends soon, with an error at wait(). For good.
  virtual void abort() = 0;

  // Rows ----------------------------------------------------------------------------------------
  // out[r] = table[ids[r]]   [rows, width]
  virtual void embed(Mat out, const Batch& batch, const Weight& table) = 0;
  // out[i] = x[at[i]]
  virtual void get_rows(Mat out, const Mat& x, DeviceInts at) = 0;

  // Products ------------------------------------------------------------------------------------
  // out = x w^T + bias   [rows, out_features]
  virtual void linear(Mat out, const Mat& x, const Weight& w) = 0;

  // Pointwise -----------------------------------------------------------------------------------
  // out = x / sqrt(mean(x^2) + eps) * w, w: 1 x width. `out` may be `x`.
  virtual void rms_norm(Mat out, const Mat& x, const Weight& w, float eps) = 0;
  virtual void add(Mat inout, const Mat& x) = 0;
  // out = act(gate) * up, gate_up = [gate | up]. `out` may be the gate half.
  virtual void gated_act(Mat out, const Mat& gate_up, Activation act) = 0;
  // Rotates every head of `inout` (cols / head_dim of them) by the row's position.
  virtual void rope(Mat inout, const Batch& batch, const RopeTable& table, const RopeParams& p) = 0;

  // Attention -----------------------------------------------------------------------------------
  virtual void store_kv(KvPool& kv, int32_t layer, const Mat& k, const Mat& v,
                        const Batch& batch) = 0;
  // Reads K and V from the pool only, after the store. out: [rows, query_heads * value_width];
  // padding rows are left as they are.
  virtual void attend(Mat out, const Mat& q, const KvPool& kv, int32_t layer, const Batch& batch,
                      const AttentionParams& p) = 0;

  // Ranks: identity at world size 1 -------------------------------------------------------------
  virtual void all_reduce(Mat inout) { (void)inout; }
  virtual void all_gather_cols(Mat out, const Mat& x) = 0;  // a copy at world size 1

  // Output: valid on the host once wait() says so; until then all that the arguments refer to stays
  // as it is ------------------------------------------------------------------------------------
  // logits: [inputs.size(), vocabulary]; out[i] is the draw from row i.
  virtual void sample(std::span<SampleOutput> out, const Mat& logits,
                      std::span<const SampleInput> inputs) = 0;
  // out[i] = score_row(logits[i], targets[i], top).
  virtual void score(std::span<std::vector<Logprob>> out, const Mat& logits,
                     std::span<const int32_t> targets, int32_t top) = 0;

  // Fused: the default bodies compose the ops above; override when a profile says so ------------
  virtual void add_rms_norm(Mat out, Mat residual, const Mat& x, const Weight& w, float eps) {
    add(residual, x);
    rms_norm(out, residual, w, eps);
  }
  virtual void all_reduce_add_rms_norm(Mat out, Mat residual, Mat x, const Weight& w, float eps) {
    all_reduce(x);
    add_rms_norm(out, residual, x, w, eps);
  }
  // Rotates q and k, then stores k and v.
  virtual void rope_store_kv(Mat q, Mat k, const Mat& v, KvPool& kv, int32_t layer,
                             const Batch& batch, const RopeTable& table, const RopeParams& p) {
    rope(q, batch, table, p);
    rope(k, batch, table, p);
    store_kv(kv, layer, k, v, batch);
  }
};

}  // namespace bessemer
