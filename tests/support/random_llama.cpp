#include "tests/support/random_llama.h"

#include <cmath>
#include <string>

#include "common/check.h"
#include "worker/format/dequantize.h"

namespace bessemer::testing {
namespace {

// Where a block keeps its half-precision scale and minimum; `centre` x scale as minimum makes the
// values' mean about zero.
struct BlockScales {
  int scale = -1, minimum = -1;  // byte offsets; -1: none
  float centre = 0;
};

BlockScales block_scales(TensorType type) {
  switch (type) {
    case TensorType::q4_0:
    case TensorType::q5_0:
    case TensorType::q8_0:
      return {.scale = 0};
    case TensorType::q4_1:
      return {0, 2, -7.5f};  // codes 0-15
    case TensorType::q5_1:
      return {0, 2, -15.5f};  // codes 0-31
    case TensorType::q2_k:
      return {80, 82, 1.5f};  // minima are subtracted in the K formats
    case TensorType::q3_k:
      return {.scale = 108};
    case TensorType::q4_k:
      return {0, 2, 7.5f};
    case TensorType::q5_k:
      return {0, 2, 15.5f};
    case TensorType::q6_k:
      return {.scale = 208};
    case TensorType::f32:
    case TensorType::f16:
    case TensorType::bf16:
      return {};
  }
  check_failed("block_scales: a TensorType outside its enumerators", __FILE__, __LINE__);
}

void put_half(std::span<std::byte> block, int offset, float value) {
  if (offset < 0) return;
  const uint16_t bits = float_to_half(value);
  std::memcpy(block.data() + offset, &bits, sizeof bits);
}

double root_mean_square(TensorType type, std::span<const std::byte> block) {
  std::vector<float> values(static_cast<size_t>(traits_of(type).block_values));
  dequantize(type, block, values);
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

// Random codes and group scales; then the block's own scales so that the values come out as wanted.
void fill_block(TensorType type, std::span<std::byte> block, double rms, Random& random) {
  for (std::byte& byte : block) byte = static_cast<std::byte>(random.below(256));
  const BlockScales scales = block_scales(type);
  put_half(block, scales.scale, 1.0f);
  put_half(block, scales.minimum, scales.centre);
  const double natural = root_mean_square(type, block);
  const float scale = natural > 0 ? static_cast<float>(rms / natural) : 1.0f;
  put_half(block, scales.scale, scale);
  put_half(block, scales.minimum, scale * scales.centre);
}

// Uniform with the given root mean square.
float random_value(double rms, Random& random) {
  return static_cast<float>((random.uniform() * 2 - 1) * std::sqrt(3.0) * rms);
}

std::vector<std::byte> random_floats(TensorType type, int64_t values, double rms, Random& random) {
  ByteWriter out;
  for (int64_t i = 0; i < values; ++i) {
    const float value = random_value(rms, random);
    if (type == TensorType::f32) out.number(value);
    if (type == TensorType::f16) out.number(float_to_half(value));
    if (type == TensorType::bf16) out.number(float_to_bfloat(value));
  }
  return out.bytes();
}

// The character that stands for a byte in GPT-2's vocabulary files, as UTF-8: printable bytes for
// themselves, the others moved up in order from U+0100.
std::string byte_symbol(int byte) {
  const auto printable = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 255 && b != 173);
  };
  int code = byte;
  if (!printable(byte)) {
    code = 256;
    for (int b = 0; b < byte; ++b) code += printable(b) ? 0 : 1;
  }
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
}

constexpr const char* kChatTemplate =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

void add_vocabulary(GgufWriter& out, int32_t size, bool words) {
  CHECK(size >= kMinVocabulary + (words ? 1 : 0));
  std::vector<std::string> tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  std::vector<int32_t> types(tokens.size(), 3);  // control
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(byte_symbol(byte));
  types.resize(tokens.size(), 1);  // normal
  std::vector<std::string> merges;
  if (words) {  // readers refuse a vocabulary without any merge
    tokens.emplace_back("th");
    merges.emplace_back("t h");
  }
  while (static_cast<int32_t>(tokens.size()) < size) {
    const std::string number = std::to_string(tokens.size());
    tokens.push_back(words ? "word" + number : "<unused_" + number + ">");
  }
  types.resize(tokens.size(), words ? 1 : 5);  // normal or unused
  out.set("tokenizer.ggml.model", "gpt2").set("tokenizer.ggml.pre", "smollm");
  out.set_strings("tokenizer.ggml.tokens", tokens).set_array("tokenizer.ggml.token_type", types);
  out.set_strings("tokenizer.ggml.merges", merges);
  out.set<uint32_t>("tokenizer.ggml.bos_token_id", 1)
      .set<uint32_t>("tokenizer.ggml.eos_token_id", 2);
  out.set("tokenizer.ggml.add_bos_token", false).set("tokenizer.chat_template", kChatTemplate);
}

class Builder {
 public:
  explicit Builder(const RandomLlama& options) : o_(options), random_(options.seed) {}

  GgufWriter build() {
    add_keys();
    if (o_.vocabulary) add_vocabulary(out_, o_.vocab, o_.words);
    matrix("token_embd", o_.embedding, o_.vocab, o_.width, false);
    for (int32_t layer = 0; layer < o_.layers; ++layer)
      add_layer("blk." + std::to_string(layer) + ".", has_more_bits(layer));
    norm("output_norm");
    if (!o_.tied) matrix("output", o_.output, o_.vocab, o_.width, false);
    if (!o_.rope_frequency_factors.empty()) add_frequency_factors();
    return std::move(out_);
  }

 private:
  int32_t head_width() const { return o_.head_width > 0 ? o_.head_width : o_.width / o_.heads; }

  void add_keys() {
    const auto u32 = [&](const std::string& key, int32_t value) {
      out_.set("llama." + key, static_cast<uint32_t>(value));
    };
    out_.set("general.architecture", "llama").set("general.name", "random");
    u32("block_count", o_.layers);
    u32("context_length", o_.context);
    u32("embedding_length", o_.width);
    u32("feed_forward_length", o_.ff);
    u32("attention.head_count", o_.heads);
    u32("attention.head_count_kv", o_.kv_heads);
    u32("attention.key_length", head_width());
    u32("attention.value_length", head_width());
    u32("rope.dimension_count", head_width());
    u32("vocab_size", o_.vocab);
    out_.set("llama.rope.freq_base", static_cast<float>(o_.rope_base));
    out_.set("llama.attention.layer_norm_rms_epsilon", o_.norm_eps);
    if (o_.rope_linear_factor > 0) {
      out_.set("llama.rope.scaling.type", "linear");
      out_.set("llama.rope.scaling.factor", static_cast<float>(o_.rope_linear_factor));
    }
  }

  // The first and the last eighth, and every third of the others.
  bool has_more_bits(int32_t layer) const {
    const int32_t eighth = o_.layers / 8;
    return layer < eighth || layer >= o_.layers - eighth || (layer - eighth) % 3 == 2;
  }

  void add_layer(const std::string& prefix, bool more_bits) {
    const TensorType v = more_bits ? o_.finer.value_or(o_.attention) : o_.attention;
    const TensorType down = more_bits ? o_.finer.value_or(o_.mlp) : o_.mlp;
    const int32_t q = o_.heads * head_width(), kv = o_.kv_heads * head_width();
    norm(prefix + "attn_norm");
    matrix(prefix + "attn_q", o_.attention, q, o_.width, o_.attention_bias);
    matrix(prefix + "attn_k", o_.attention, kv, o_.width, o_.attention_bias);
    matrix(prefix + "attn_v", v, kv, o_.width, o_.attention_bias);
    matrix(prefix + "attn_output", o_.attention, o_.width, q, o_.attention_bias);
    norm(prefix + "ffn_norm");
    matrix(prefix + "ffn_gate", o_.mlp, o_.ff, o_.width, o_.mlp_bias);
    matrix(prefix + "ffn_up", o_.mlp, o_.ff, o_.width, o_.mlp_bias);
    matrix(prefix + "ffn_down", down, o_.width, o_.ff, o_.mlp_bias);
  }

  // Outputs keep the size of inputs: each weight's root mean square is 1 / sqrt(cols).
  void matrix(const std::string& name, TensorType type, int32_t rows, int32_t cols, bool bias) {
    const double rms = 1.0 / std::sqrt(cols);
    out_.tensor(name + ".weight", type, {static_cast<uint64_t>(cols), static_cast<uint64_t>(rows)},
                random_blocks(type, static_cast<int64_t>(rows) * cols, rms, random_));
    if (bias) vector(name + ".bias", rows, 0.0f, 0.1);
  }
  void norm(const std::string& name) { vector(name + ".weight", o_.width, 1.0f, 0.1); }

  void vector(const std::string& name, int32_t size, float mean, double rms) {
    ByteWriter values;
    for (int32_t i = 0; i < size; ++i) values.number(mean + random_value(rms, random_));
    out_.tensor(name, TensorType::f32, {static_cast<uint64_t>(size)}, values.bytes());
  }

  void add_frequency_factors() {
    ByteWriter values;
    for (const float factor : o_.rope_frequency_factors) values.number(factor);
    out_.tensor("rope_freqs.weight", TensorType::f32, {o_.rope_frequency_factors.size()},
                values.bytes());
  }

  const RandomLlama& o_;
  Random random_;
  GgufWriter out_;
};

}  // namespace

std::vector<std::byte> random_blocks(TensorType type, int64_t values, double rms, Random& random) {
  const TensorTypeTraits& traits = traits_of(type);
  if (traits.block_values == 1) return random_floats(type, values, rms, random);
  std::vector<std::byte> out(row_bytes(type, values));
  const size_t block = static_cast<size_t>(traits.block_bytes);
  for (size_t i = 0; i < out.size(); i += block)
    fill_block(type, std::span(out).subspan(i, block), rms, random);
  return out;
}

GgufWriter random_llama(const RandomLlama& options) {
  return Builder(options).build();
}

}  // namespace bessemer::testing
