#include <cmath>

#include "bench/gpu/cases.h"

namespace bessemer::bench {
namespace {

constexpr int32_t kFirstProgram = 3000;
constexpr int32_t kContext = 512, kBlockTokens = 16, kMostSequences = 32;

struct Layer {
  WeightPtr attn_norm, qkv, o, mlp_norm, gate_up, down;
};

// A model of one format with random weights. Layers have the same values in memory of their own.
class RandomModel {
 public:
  RandomModel(Backend& backend, TensorType type) : backend_(backend), random_(3) {
    const int32_t qkv = (c_.heads + 2 * c_.kv_heads) * c_.head_width;
    const auto raw_qkv = random_weight(type, qkv, c_.width, random_);
    const auto raw_o = random_weight(type, c_.width, c_.heads * c_.head_width, random_);
    const auto raw_gate_up = random_weight(type, 2 * c_.ff, c_.width, random_);
    const auto raw_down = random_weight(type, c_.width, c_.ff, random_);
    for (int32_t i = 0; i < c_.layers; ++i) {
      layers_.push_back({.attn_norm = ones(),
                         .qkv = pack(type, raw_qkv, qkv, c_.width),
                         .o = pack(type, raw_o, c_.width, c_.heads * c_.head_width),
                         .mlp_norm = ones(),
                         .gate_up = pack(type, raw_gate_up, 2 * c_.ff, c_.width),
                         .down = pack(type, raw_down, c_.width, c_.ff)});
    }
    const TensorType head = type == TensorType::bf16 ? type : TensorType::q6_k;
    head_ = pack(head, random_weight(head, c_.vocab, c_.width, random_), c_.vocab, c_.width);
    norm_ = ones();
    std::vector<double> frequencies;
    for (int32_t i = 0; i < c_.head_width / 2; ++i)
      frequencies.push_back(std::pow(5e5, -2.0 * i / c_.head_width));
    rope_ = *backend.make_rope_table(frequencies, 2 * kContext, 1.0f);
    const KvLayer layer{
        .heads = c_.kv_heads, .key_width = c_.head_width, .value_width = c_.head_width};
    kv_ =
        *backend.make_kv({.layers = std::vector<KvLayer>(static_cast<size_t>(c_.layers), layer),
                          .group_blocks = {decode_blocks(kMostSequences, kContext, kBlockTokens)}});
  }

  // Weights without the embedding, of which a step reads a few rows.
  double weight_bytes() const { return weight_bytes_; }
  double kv_bytes(int32_t sequences) const {
    return 2.0 * 2 * c_.layers * c_.kv_heads * c_.head_width * kContext * sequences;
  }

  double step_seconds(int32_t program, int32_t sequences) {
    const Scratch s(backend_, c_, sequences, random_);
    const StepInputs inputs = decode_inputs(sequences, kContext, kBlockTokens, random_);
    return time_step(backend_, program, inputs, [&](const Batch& batch) { forward(s, batch); });
  }

 private:
  struct Scratch {
    Scratch(Backend& backend, const LlamaShape& c, int32_t rows, Random& random)
        : residual(backend, rows, c.width, random),
          normed(backend, rows, c.width, random),
          x(backend, rows, c.width, random),
          qkv(backend, rows, (c.heads + 2 * c.kv_heads) * c.head_width, random),
          attn(backend, rows, c.heads * c.head_width, random),
          gate_up(backend, rows, 2 * c.ff, random),
          act(backend, rows, c.ff, random),
          last(backend, rows, c.width, random),
          logits(backend, rows, c.vocab, random) {}
    Operand residual, normed, x, qkv, attn, gate_up, act, last, logits;
  };

  WeightPtr pack(TensorType type, std::span<const std::byte> bytes, int32_t rows, int32_t cols) {
    const WeightPart part{
        .name = "bench", .type = type, .bytes = bytes, .rows = rows, .cols = cols, .bias = {}};
    StatusOr<WeightPtr> weight = backend_.pack({&part, 1});
    CHECK(weight.ok());
    weight_bytes_ += static_cast<double>((*weight)->size_bytes());
    return *std::move(weight);
  }
  WeightPtr ones() {
    const std::vector<float> values(static_cast<size_t>(c_.width), 1.0f);
    return pack(TensorType::f32, std::as_bytes(std::span(values)), 1, c_.width);
  }

  void forward(const Scratch& s, const Batch& batch) {
    Backend& b = backend_;
    const int32_t q_cols = c_.heads * c_.head_width, kv_cols = c_.kv_heads * c_.head_width;
    const Mat q = columns(s.qkv.mat, 0, q_cols), k = columns(s.qkv.mat, q_cols, kv_cols);
    const Mat v = columns(s.qkv.mat, q_cols + kv_cols, kv_cols);
    const RopeParams rotary{
        .head_dim = c_.head_width, .rotary_dim = c_.head_width, .interleaved = true};
    const AttentionParams attention{.query_heads = c_.heads,
                                    .kv_heads = c_.kv_heads,
                                    .key_width = c_.head_width,
                                    .value_width = c_.head_width,
                                    .scale = 1 / std::sqrt(static_cast<float>(c_.head_width))};
    b.embed(s.residual.mat, batch, *head_);
    b.rms_norm(s.normed.mat, s.residual.mat, *layers_[0].attn_norm, 1e-5f);
    for (int32_t i = 0; i < c_.layers; ++i) {
      const Layer& w = layers_[static_cast<size_t>(i)];
      const Weight& next =
          i + 1 == c_.layers ? *norm_ : *layers_[static_cast<size_t>(i) + 1].attn_norm;
      b.linear(s.qkv.mat, s.normed.mat, *w.qkv);
      b.rope_store_kv(q, k, v, *kv_, i, batch, *rope_, rotary);
      b.attend(s.attn.mat, q, *kv_, i, batch, attention);
      b.linear(s.x.mat, s.attn.mat, *w.o);
      b.all_reduce_add_rms_norm(s.normed.mat, s.residual.mat, s.x.mat, *w.mlp_norm, 1e-5f);
      b.linear(s.gate_up.mat, s.normed.mat, *w.gate_up);
      b.gated_act(s.act.mat, s.gate_up.mat, Activation::silu);
      b.linear(s.x.mat, s.act.mat, *w.down);
      b.all_reduce_add_rms_norm(s.normed.mat, s.residual.mat, s.x.mat, next, 1e-5f);
    }
    b.get_rows(s.last.mat, s.normed.mat, batch.out_rows);
    b.linear(s.logits.mat, s.last.mat, *head_);
  }

  Backend& backend_;
  const LlamaShape c_;
  Random random_;
  std::vector<Layer> layers_;
  WeightPtr head_, norm_;
  RopeTablePtr rope_;
  KvPoolPtr kv_;
  double weight_bytes_ = 0;
};

}  // namespace

std::vector<Figure> measure_decode(Backend& backend, const std::string& filter) {
  std::vector<Figure> figures;
  int32_t program = kFirstProgram;
  for (const TensorType type :
       {TensorType::bf16, TensorType::q4_0, TensorType::q4_k, TensorType::q8_0}) {
    const std::string format = "decode 8B " + std::string(traits_of(type).name);
    program += 10;
    if (format.find(filter) == std::string::npos) continue;
    RandomModel model(backend, type);
    for (const int32_t sequences : {1, 8, 32}) {
      figures.push_back({.name = format + " batch " + std::to_string(sequences),
                         .seconds = model.step_seconds(++program, sequences),
                         .bytes = model.weight_bytes() + model.kv_bytes(sequences),
                         .operations = 0});
    }
  }
  return figures;
}

}  // namespace bessemer::bench
