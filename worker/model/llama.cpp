// The Llama family (Llama 1 to 3, Mistral, SmolLM, TinyLlama and whoever writes "llama" into GGUF):
// pre-norm decoder, grouped queries, rotary positions, gated SiLU. Touvron et al. 2023,
// arXiv:2307.09288.
#include <utility>
#include <vector>

#include "worker/model/architectures.h"
#include "worker/model/config.h"
#include "worker/model/scratch.h"

namespace bessemer {
namespace {

struct Layer {
  WeightPtr attn_norm, qkv, o, mlp_norm, gate_up, down;
};

class Llama final : public Model {
 public:
  Llama(DecoderConfig config, Rank rank) : c_(std::move(config)), rank_(rank) {}

  int32_t vocab_size() const override { return c_.vocab; }
  int32_t max_len() const override { return c_.context; }
  uint64_t parameters() const override { return parameters_; }
  size_t weight_bytes() const override { return weight_bytes_; }

  size_t scratch_bytes() const override { return scratch_.size_bytes(); }

  KvLayout kv_layout() const override {
    KvLayout layout;
    const KvLayer layer{.heads = c_.kv_heads / rank_.count,
                        .key_width = c_.key_width,
                        .value_width = c_.value_width};
    layout.layers.assign(static_cast<size_t>(c_.layers), layer);
    return layout;
  }

  Status load(Loader& load) {
    const int64_t q = int64_t{c_.heads} * c_.key_width, k = int64_t{c_.kv_heads} * c_.key_width;
    const int64_t v = int64_t{c_.kv_heads} * c_.value_width,
                  attn = int64_t{c_.heads} * c_.value_width;
    ASSIGN_OR_RETURN(embedding_, load.whole({"token_embd", c_.vocab, c_.width}));
    for (int32_t i = 0; i < c_.layers; ++i) {
      const std::string at = "blk." + std::to_string(i) + ".";
      const Tensor qkv[] = {{at + "attn_q", q, c_.width, c_.key_width},
                            {at + "attn_k", k, c_.width, c_.key_width},
                            {at + "attn_v", v, c_.width, c_.value_width}};
      const Tensor gate_up[] = {{at + "ffn_gate", c_.ff, c_.width},
                                {at + "ffn_up", c_.ff, c_.width}};
      Layer& w = layers_.emplace_back();
      ASSIGN_OR_RETURN(w.attn_norm, load.whole({at + "attn_norm", 1, c_.width}));
      ASSIGN_OR_RETURN(w.qkv, load.columns(qkv));
      ASSIGN_OR_RETURN(w.o, load.rows({at + "attn_output", c_.width, attn}));
      ASSIGN_OR_RETURN(w.mlp_norm, load.whole({at + "ffn_norm", 1, c_.width}));
      ASSIGN_OR_RETURN(w.gate_up, load.columns(gate_up));
      ASSIGN_OR_RETURN(w.down, load.rows({at + "ffn_down", c_.width, c_.ff}));
    }
    ASSIGN_OR_RETURN(norm_, load.whole({"output_norm", 1, c_.width}));
    // Without a head of its own the model reuses its embedding: one Weight for both, unless each
    // rank needs a slice.
    const bool tied = !load.has("output");
    if (!tied || rank_.count > 1) {
      const Tensor head[] = {{tied ? "token_embd" : "output", c_.vocab, c_.width}};
      ASSIGN_OR_RETURN(own_head_, load.columns(head));
    }
    load.claim("rope_freqs.weight");  // read with the configuration
    parameters_ = load.parameters();
    weight_bytes_ = load.packed_bytes();
    return absl::OkStatus();
  }

  Status reserve(Backend& backend, int32_t rows, int32_t logit_rows, int32_t max_len) override {
    CHECK(max_len <= c_.context);
    ASSIGN_OR_RETURN(rope_, backend.make_rope_table(c_.inverse_frequencies, max_len, 1.0f));
    const int32_t n = rank_.count, hq = c_.heads / n, hkv = c_.kv_heads / n;
    scratch_.want(residual_, rows, c_.width);
    scratch_.want(normed_, rows, c_.width);
    scratch_.want(x_, rows, c_.width);
    scratch_.want(qkv_, rows, (hq + hkv) * c_.key_width + hkv * c_.value_width);
    scratch_.want(attn_, rows, hq * c_.value_width);
    scratch_.want(gate_up_, rows, 2 * c_.ff / n);
    scratch_.want(act_, rows, c_.ff / n);
    scratch_.want(last_, logit_rows, c_.width);
    scratch_.want(local_logits_, logit_rows, c_.vocab / n);
    if (n > 1) scratch_.want(logits_, logit_rows, c_.vocab);
    return scratch_.allocate(backend);
  }

  // R = the step's rows, O = its rows whose logits are wanted.
  Mat forward(Backend& b, const Batch& batch, KvPool& kv) override {
    const auto rows = [&](const Mat& mat) { return first_rows(mat, batch.rows); };
    const auto outs = [&](const Mat& mat) { return first_rows(mat, batch.out_rows.count); };
    const int32_t n = rank_.count, hq = c_.heads / n, hkv = c_.kv_heads / n;
    const int32_t dk = c_.key_width, dv = c_.value_width;
    const RopeParams rotary{.head_dim = dk, .rotary_dim = c_.rotary_width, .interleaved = true};
    const AttentionParams attention{.query_heads = hq,
                                    .kv_heads = hkv,
                                    .key_width = dk,
                                    .value_width = dv,
                                    .scale = c_.attention_scale};

    const Mat residual = rows(residual_), normed = rows(normed_), x = rows(x_);  // [R, width]
    const Mat qkv = rows(qkv_), attn = rows(attn_);  // [R, (hq + hkv) dk + hkv dv], [R, hq dv]
    const Mat q = columns(qkv, 0, hq * dk), k = columns(qkv, hq * dk, hkv * dk);
    const Mat v = columns(qkv, (hq + hkv) * dk, hkv * dv);
    const Mat gate_up = rows(gate_up_), act = rows(act_);  // [R, 2 ff], [R, ff]

    b.embed(residual, batch, *embedding_);
    b.rms_norm(normed, residual, *layers_[0].attn_norm, c_.norm_eps);
    for (int32_t i = 0; i < c_.layers; ++i) {
      const Layer& w = layers_[static_cast<size_t>(i)];
      const bool last = i + 1 == c_.layers;
      const Weight& next_norm = last ? *norm_ : *layers_[static_cast<size_t>(i) + 1].attn_norm;
      b.linear(qkv, normed, *w.qkv);
      b.rope_store_kv(q, k, v, kv, i, batch, *rope_, rotary);
      b.attend(attn, q, kv, i, batch, attention);
      b.linear(x, attn, *w.o);
      b.all_reduce_add_rms_norm(normed, residual, x, *w.mlp_norm, c_.norm_eps);
      b.linear(gate_up, normed, *w.gate_up);
      b.gated_act(act, gate_up, Activation::silu);
      b.linear(x, act, *w.down);
      b.all_reduce_add_rms_norm(normed, residual, x, next_norm, c_.norm_eps);
    }
    const Mat local = outs(local_logits_);  // [O, vocab / n]
    b.get_rows(outs(last_), normed, batch.out_rows);
    b.linear(local, outs(last_), own_head_ ? *own_head_ : *embedding_);
    if (n == 1) return local;
    b.all_gather_cols(outs(logits_), local);
    return outs(logits_);
  }

 private:
  const DecoderConfig c_;
  const Rank rank_;
  WeightPtr embedding_, norm_, own_head_;
  std::vector<Layer> layers_;
  RopeTablePtr rope_;
  Scratch scratch_;
  Mat residual_, normed_, x_, qkv_, attn_, gate_up_, act_, last_, local_logits_, logits_;
  uint64_t parameters_ = 0;
  size_t weight_bytes_ = 0;
};

}  // namespace

StatusOr<std::unique_ptr<Model>> load_llama(const GgufFile& file, Loader& loader, Rank rank) {
  ASSIGN_OR_RETURN(DecoderConfig config, read_decoder_config(file, "llama"));
  auto model = std::make_unique<Llama>(std::move(config), rank);
  RETURN_IF_ERROR(model->load(loader));
  return model;
}

}  // namespace bessemer
