#include "worker/backend/reference/reference_backend.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <numbers>
#include <string>
#include <vector>

#include "common/check.h"
#include "worker/backend/host/memory.h"
#include "worker/backend/reference/weight.h"
#include "worker/sampling/sampler.h"

namespace bessemer::reference {
namespace {

const ReferenceWeight& own(const Weight& weight) {
  return static_cast<const ReferenceWeight&>(weight);
}

std::span<const float> row_of(const Mat& mat, int32_t row) {
  return {mat.row<float>(row), static_cast<size_t>(mat.cols)};
}

float activate(float x, Activation act) {
  switch (act) {
    case Activation::silu:
      return x / (1.0f + std::exp(-x));
    case Activation::gelu:
      return 0.5f * x * (1.0f + std::erf(x / std::numbers::sqrt2_v<float>));
    case Activation::gelu_tanh: {
      const float inner = 0.797884560802865f * (x + 0.044715f * x * x * x);  // sqrt(2 / pi)
      return 0.5f * x * (1.0f + std::tanh(inner));
    }
    case Activation::relu:
      return std::max(x, 0.0f);
  }
  return x;
}

// Where position `j` of sequence `s` lies in the pool.
int32_t slot_of(const Batch::Group& group, int32_t s, int32_t j, int32_t block_tokens) {
  const int32_t* table = group.table.address + static_cast<ptrdiff_t>(s) * group.table_stride;
  return table[j / block_tokens] * block_tokens + j % block_tokens;
}

class ReferenceBackend final : public Backend {
 public:
  std::string numerics() const override { return "reference"; }

  StatusOr<std::unique_ptr<Buffer>> allocate(size_t bytes) override {
    return host::HostBuffer::make(bytes);
  }
  StatusOr<WeightPtr> pack(std::span<const WeightPart> parts) override {
    return ReferenceWeight::pack(parts);
  }
  StatusOr<KvPoolPtr> make_kv(const KvLayout& layout) override { return ReferenceKv::make(layout); }
  StatusOr<RopeTablePtr> make_rope_table(std::span<const double> inverse_frequencies,
                                         int32_t max_positions, float attention_factor) override {
    return host::HostRopeTable::make(inverse_frequencies, max_positions, attention_factor);
  }
  // Nothing is needed: the specification may use the stack and small vectors.
  Status reserve_workspace(int32_t, int32_t, int32_t) override { return absl::OkStatus(); }

  void begin_step(const StepInputs& inputs, Batch& batch) override { steps_.upload(inputs, batch); }
  void move_kv(KvPool& kv, std::span<const KvMove> moves) override {
    for (const KvMove& move : moves) static_cast<ReferenceKv&>(kv).move(move);
  }
  // Runs the body at once. After abort() its ops do nothing.
  Ticket run(StepKey, const std::function<void()>& body) override {
    body();
    return Ticket{++last_ticket_};
  }
  Status wait(Ticket, TimePoint) override {
    if (aborted_) return absl::AbortedError("the reference backend was told to abort");
    return absl::OkStatus();
  }
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

 private:
  host::StepRing steps_;
  uint64_t last_ticket_ = 0;
  std::atomic<bool> aborted_ = false;
};

void ReferenceBackend::embed(Mat out, const Batch& batch, const Weight& table) {
  const ReferenceWeight& w = own(table);
  CHECK(out.rows == batch.rows && out.cols == w.in_features());
  for (int32_t r = 0; r < out.rows && !aborted_; ++r) {
    const int32_t id = batch.ids.address[r];
    CHECK(id >= 0 && id < w.out_features());
    for (int32_t c = 0; c < out.cols; ++c) out.row<float>(r)[c] = w.at(id, c);
  }
}

void ReferenceBackend::get_rows(Mat out, const Mat& x, DeviceInts at) {
  CHECK(out.rows == at.count && out.cols == x.cols);
  for (int32_t r = 0; r < out.rows && !aborted_; ++r) {
    CHECK(at.address[r] >= 0 && at.address[r] < x.rows);
    std::ranges::copy(row_of(x, at.address[r]), out.row<float>(r));
  }
}

void ReferenceBackend::linear(Mat out, const Mat& x, const Weight& weight) {
  const ReferenceWeight& w = own(weight);
  CHECK(out.rows == x.rows && out.cols == w.out_features() && x.cols == w.in_features());
  constexpr int32_t kTile = 32;  // outputs summed side by side; each in the order of its inputs
  for (int32_t first = 0; first < out.cols && !aborted_; first += kTile) {
    const int32_t count = std::min(kTile, out.cols - first);
    for (int32_t r = 0; r < out.rows; ++r) {
      std::array<float, kTile> sums{};
      for (int32_t c = 0; c < x.cols; ++c) {
        const float value = x.row<float>(r)[c];
        const float* column = w.column(c) + first;
        if (count == kTile) {
          for (int32_t i = 0; i < kTile; ++i) sums[static_cast<size_t>(i)] += value * column[i];
        } else {
          for (int32_t i = 0; i < count; ++i) sums[static_cast<size_t>(i)] += value * column[i];
        }
      }
      for (int32_t i = 0; i < count; ++i) {
        out.row<float>(r)[first + i] = sums[static_cast<size_t>(i)] + w.bias(first + i);
      }
    }
  }
}

void ReferenceBackend::rms_norm(Mat out, const Mat& x, const Weight& weight, float eps) {
  const ReferenceWeight& w = own(weight);
  CHECK(out.rows == x.rows && out.cols == x.cols);
  CHECK(w.out_features() == 1 && w.in_features() == x.cols);
  for (int32_t r = 0; r < x.rows && !aborted_; ++r) {
    float squares = 0.0f;
    for (const float value : row_of(x, r)) squares += value * value;
    const float inverse = 1.0f / std::sqrt(squares / static_cast<float>(x.cols) + eps);
    for (int32_t c = 0; c < x.cols; ++c) {
      out.row<float>(r)[c] = x.row<float>(r)[c] * inverse * w.at(0, c);
    }
  }
}

void ReferenceBackend::add(Mat inout, const Mat& x) {
  CHECK(inout.rows == x.rows && inout.cols == x.cols);
  for (int32_t r = 0; r < x.rows && !aborted_; ++r) {
    for (int32_t c = 0; c < x.cols; ++c) inout.row<float>(r)[c] += x.row<float>(r)[c];
  }
}

void ReferenceBackend::gated_act(Mat out, const Mat& gate_up, Activation act) {
  CHECK(out.rows == gate_up.rows && gate_up.cols == 2 * out.cols);
  for (int32_t r = 0; r < out.rows && !aborted_; ++r) {
    const float* gate = gate_up.row<float>(r);
    const float* up = gate + out.cols;
    for (int32_t c = 0; c < out.cols; ++c) out.row<float>(r)[c] = activate(gate[c], act) * up[c];
  }
}

void ReferenceBackend::rope(Mat inout, const Batch& batch, const RopeTable& table,
                            const RopeParams& p) {
  const auto& angles = static_cast<const host::HostRopeTable&>(table);
  const int32_t pairs = p.rotary_dim / 2;
  CHECK(inout.rows == batch.rows && inout.cols % p.head_dim == 0);
  CHECK(pairs == angles.pairs() && p.rotary_dim <= p.head_dim);
  for (int32_t r = 0; r < inout.rows && !aborted_; ++r) {
    const int32_t position = batch.positions.address[r];
    CHECK(position >= 0 && position < angles.positions());
    for (int32_t head = 0; head < inout.cols; head += p.head_dim) {
      float* values = inout.row<float>(r) + head;
      for (int32_t i = 0; i < pairs; ++i) {
        float& a = values[p.interleaved ? 2 * i : i];
        float& b = values[p.interleaved ? 2 * i + 1 : i + pairs];
        const float cosine = angles.cosines(position)[i], sine = angles.sines(position)[i];
        const float rotated_a = a * cosine - b * sine;
        b = a * sine + b * cosine;
        a = rotated_a;
      }
    }
  }
}

void ReferenceBackend::store_kv(KvPool& kv, int32_t layer, const Mat& k, const Mat& v,
                                const Batch& batch) {
  auto& pool = static_cast<ReferenceKv&>(kv);
  const KvLayer& shape = pool.layout().layers[static_cast<size_t>(layer)];
  CHECK(k.rows == batch.rows && v.rows == batch.rows);
  CHECK(k.cols == shape.heads * shape.key_width && v.cols == shape.heads * shape.value_width);
  const DeviceInts store_at = batch.groups[static_cast<size_t>(shape.group)].store_at;
  for (int32_t r = 0; r < k.rows && !aborted_; ++r) {
    const int32_t slot = store_at.address[r];
    if (slot >= 0) pool.store(layer, slot, k.row<float>(r), v.row<float>(r));
  }
}

// K and V of one head of one sequence, in f32, oldest position first.
struct HeadKv {
  std::vector<float> keys, values;  // [positions][width]
};

HeadKv gather(const ReferenceKv& pool, int32_t layer, int32_t head, const Batch::Group& group,
              int32_t s) {
  const KvLayer& shape = pool.layout().layers[static_cast<size_t>(layer)];
  HeadKv kv;
  for (int32_t j = 0; j < group.kv_len.address[s]; ++j) {
    const int32_t slot = slot_of(group, s, j, pool.layout().block_tokens);
    for (int32_t d = 0; d < shape.key_width; ++d) {
      kv.keys.push_back(pool.key(layer, slot, head, d));
    }
    for (int32_t d = 0; d < shape.value_width; ++d) {
      kv.values.push_back(pool.value(layer, slot, head, d));
    }
  }
  return kv;
}

// One query head of one row: softmax(q K^T * scale) V over the first `visible` positions; zero when
// there are none.
void attend_head(std::span<float> out, std::span<const float> q, const HeadKv& kv, int32_t visible,
                 float scale) {
  std::vector<float> weights(static_cast<size_t>(visible));
  float largest = -INFINITY;
  for (size_t j = 0; j < weights.size(); ++j) {
    float dot = 0.0f;
    for (size_t d = 0; d < q.size(); ++d) dot += q[d] * kv.keys[j * q.size() + d];
    weights[j] = dot * scale;
    largest = std::max(largest, weights[j]);
  }
  float total = 0.0f;
  for (float& weight : weights) {
    weight = std::exp(weight - largest);
    total += weight;
  }
  std::vector<float> sums(out.size());
  for (size_t j = 0; j < weights.size(); ++j) {
    for (size_t d = 0; d < sums.size(); ++d) sums[d] += weights[j] * kv.values[j * sums.size() + d];
  }
  for (size_t d = 0; d < out.size(); ++d) out[d] = visible > 0 ? sums[d] / total : 0.0f;
}

void ReferenceBackend::attend(Mat out, const Mat& q, const KvPool& kv, int32_t layer,
                              const Batch& batch, const AttentionParams& p) {
  const auto& pool = static_cast<const ReferenceKv&>(kv);
  const KvLayer& shape = pool.layout().layers[static_cast<size_t>(layer)];
  const Batch::Group& group = batch.groups[static_cast<size_t>(shape.group)];
  CHECK(p.kv_heads == shape.heads && p.query_heads % p.kv_heads == 0);
  CHECK(p.key_width == shape.key_width && p.value_width == shape.value_width);
  CHECK(q.cols == p.query_heads * p.key_width && out.cols == p.query_heads * p.value_width);
  CHECK(q.rows == batch.rows && out.rows == batch.rows);
  const auto key_width = static_cast<size_t>(p.key_width);
  const auto value_width = static_cast<size_t>(p.value_width);
  const int32_t heads_per_kv = p.query_heads / p.kv_heads;
  for (int32_t s = 0; s < batch.sequences; ++s) {
    const int32_t length = group.kv_len.address[s];
    for (int32_t kv_head = 0; kv_head < p.kv_heads && !aborted_; ++kv_head) {
      const HeadKv head_kv = gather(pool, layer, kv_head, group, s);
      for (int32_t r = batch.query_start.address[s]; r < batch.query_start.address[s + 1]; ++r) {
        const int32_t visible =
            p.causal ? std::min(length, batch.positions.address[r] + 1) : length;
        for (int32_t h = kv_head * heads_per_kv; h < (kv_head + 1) * heads_per_kv; ++h) {
          attend_head({out.row<float>(r) + h * p.value_width, value_width},
                      {q.row<float>(r) + h * p.key_width, key_width}, head_kv, visible, p.scale);
        }
      }
    }
  }
}

void ReferenceBackend::all_gather_cols(Mat out, const Mat& x) {
  CHECK(out.rows == x.rows && out.cols == x.cols);
  for (int32_t r = 0; r < x.rows && !aborted_; ++r) {
    std::memmove(out.row<float>(r), x.row<float>(r), static_cast<size_t>(x.cols) * sizeof(float));
  }
}

void ReferenceBackend::sample(std::span<SampleOutput> out, const Mat& logits,
                              std::span<const SampleInput> inputs) {
  CHECK(out.size() == inputs.size() && static_cast<size_t>(logits.rows) == inputs.size());
  for (size_t i = 0; i < inputs.size() && !aborted_; ++i) {
    out[i] = sample_row(row_of(logits, static_cast<int32_t>(i)), inputs[i]);
  }
}

void ReferenceBackend::score(std::span<std::vector<Logprob>> out, const Mat& logits,
                             std::span<const int32_t> targets, int32_t top) {
  CHECK(out.size() == targets.size() && static_cast<size_t>(logits.rows) == targets.size());
  for (size_t i = 0; i < targets.size() && !aborted_; ++i) {
    out[i] = score_row(row_of(logits, static_cast<int32_t>(i)), targets[i], top);
  }
}

}  // namespace

std::unique_ptr<Backend> make_reference_backend() {
  return std::make_unique<ReferenceBackend>();
}

}  // namespace bessemer::reference
