#include "worker/model/config.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "worker/format/dequantize.h"

namespace bessemer {
namespace {

constexpr int32_t kMaxLayers = 4096;
constexpr int32_t kMaxWidth = 1 << 20;   // the widest published models have 2^15 to 2^16
constexpr int32_t kMaxHeads = 4096;      // published models have up to 128
constexpr int32_t kMaxHeadWidth = 1024;  // of keys or values; published models have up to 576
constexpr int32_t kMaxVocab = 1 << 24;
constexpr int32_t kMaxContext = 1 << 26;

// The keys of one architecture in one file; errors name both.
class Keys {
 public:
  Keys(const GgufFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}

  bool has(const std::string& key) const { return file_.find(prefix_ + key) != nullptr; }

  StatusOr<int32_t> integer(const std::string& key, int32_t low, int32_t high) const {
    StatusOr<int64_t> value = file_.get_int(prefix_ + key);
    if (!value.ok()) return value.status();
    if (*value >= low && *value <= high) return static_cast<int32_t>(*value);
    return wrong(key, fmt::format("{} is out of range: {} to {} is supported", *value, low, high));
  }
  StatusOr<int32_t> integer_or(const std::string& key, int32_t low, int32_t high,
                               int32_t otherwise) const {
    return has(key) ? integer(key, low, high) : StatusOr<int32_t>(otherwise);
  }
  StatusOr<double> positive(const std::string& key) const {
    StatusOr<double> value = file_.get_float(prefix_ + key);
    if (!value.ok()) return value.status();
    if (std::isfinite(*value) && *value > 0) return *value;
    return wrong(key, fmt::format("{} must be a finite number above 0", *value));
  }
  StatusOr<double> positive_or(const std::string& key, double otherwise) const {
    return has(key) ? positive(key) : StatusOr<double>(otherwise);
  }

  Status wrong(const std::string& key, const std::string& what) const {
    return absl::InvalidArgumentError(file_.path() + ": " + prefix_ + key + ": " + what);
  }
  Status unbuilt(const std::string& key, const std::string& what) const {
    return absl::UnimplementedError(file_.path() + ": " + prefix_ + key + ": " + what);
  }
  const GgufFile& file() const { return file_; }
  const std::string& prefix() const { return prefix_; }

 private:
  const GgufFile& file_;
  const std::string prefix_;
};

// One number for all layers; files with an array of them have layers that differ.
StatusOr<int32_t> head_count(const Keys& keys, const std::string& key) {
  if (keys.file().get_array(keys.prefix() + key).ok()) {
    return keys.unbuilt(key, "head counts that differ by layer are not supported");
  }
  return keys.integer(key, 1, kMaxHeads);
}

// What the file says, or `otherwise`, which the other keys imply.
StatusOr<int32_t> head_width(const Keys& keys, const std::string& key, int32_t otherwise) {
  if (keys.has(key) || otherwise <= kMaxHeadWidth)
    return keys.integer_or(key, 1, kMaxHeadWidth, otherwise);
  return keys.wrong(key, fmt::format("heads of {} are out of range: up to {} is supported",
                                     otherwise, kMaxHeadWidth));
}

Status read_shape(const Keys& keys, DecoderConfig& c) {
  ASSIGN_OR_RETURN(c.layers, keys.integer("block_count", 1, kMaxLayers));
  ASSIGN_OR_RETURN(c.width, keys.integer("embedding_length", 1, kMaxWidth));
  ASSIGN_OR_RETURN(c.ff, keys.integer("feed_forward_length", 1, kMaxWidth));
  ASSIGN_OR_RETURN(c.context, keys.integer("context_length", 2, kMaxContext));
  ASSIGN_OR_RETURN(c.heads, head_count(keys, "attention.head_count"));
  c.kv_heads = c.heads;
  if (keys.has("attention.head_count_kv")) {
    ASSIGN_OR_RETURN(c.kv_heads, head_count(keys, "attention.head_count_kv"));
  }
  if (c.heads % c.kv_heads != 0) {
    return keys.wrong("attention.head_count_kv",
                      fmt::format("{} does not divide the {} query heads", c.kv_heads, c.heads));
  }
  const bool says_width = keys.has("attention.key_length");
  if (!says_width && c.width % c.heads != 0) {
    return keys.wrong("embedding_length", fmt::format("{} is no multiple of {} heads, and "
                                                      "attention.key_length is missing",
                                                      c.width, c.heads));
  }
  ASSIGN_OR_RETURN(c.key_width, head_width(keys, "attention.key_length", c.width / c.heads));
  ASSIGN_OR_RETURN(c.value_width, head_width(keys, "attention.value_length", c.key_width));
  if (int64_t{c.heads} * std::max(c.key_width, c.value_width) > kMaxWidth) {
    return keys.wrong("attention.head_count", "heads x head width is beyond 2^20");
  }
  return absl::OkStatus();
}

Status read_vocab(const Keys& keys, DecoderConfig& c) {
  const GgufTensor* table = keys.file().tensor("token_embd.weight");
  if (table == nullptr) {
    return absl::InvalidArgumentError(keys.file().path() + ": tensor token_embd.weight is missing");
  }
  if (table->rows() < 1 || table->rows() > kMaxVocab) {
    return absl::InvalidArgumentError(
        fmt::format("{}: tensor token_embd.weight has {} rows: 1 to {} are supported",
                    keys.file().path(), table->rows(), kMaxVocab));
  }
  c.vocab = static_cast<int32_t>(table->rows());
  ASSIGN_OR_RETURN(const int32_t said, keys.integer_or("vocab_size", 1, kMaxVocab, c.vocab));
  if (said == c.vocab) return absl::OkStatus();
  return keys.wrong("vocab_size",
                    fmt::format("{} differs from the {} rows of token_embd.weight", said, c.vocab));
}

Status read_arithmetic(const Keys& keys, DecoderConfig& c) {
  ASSIGN_OR_RETURN(const double eps, keys.positive("attention.layer_norm_rms_epsilon"));
  c.norm_eps = static_cast<float>(eps);
  // 0 is how some converters write "not set".
  c.attention_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.key_width)));
  StatusOr<double> scale = keys.file().get_float(keys.prefix() + "attention.scale");
  if (scale.ok() && *scale != 0.0) {
    ASSIGN_OR_RETURN(const double checked, keys.positive("attention.scale"));
    c.attention_scale = static_cast<float>(checked);
  }
  return absl::OkStatus();
}

StatusOr<double> linear_factor(const Keys& keys) {
  StatusOr<std::string> type = keys.file().get_string(keys.prefix() + "rope.scaling.type");
  if (!type.ok() && !absl::IsNotFound(type.status())) return type.status();
  if (!type.ok())
    return keys.positive_or("rope.scale_linear", 1.0);  // how files said it before there was a type
  if (*type == "none" || type->empty()) return 1.0;
  if (*type == "linear") return keys.positive("rope.scaling.factor");
  return keys.unbuilt("rope.scaling.type",
                      "\"" + *type +
                          "\" is not supported; none, linear and the factors of "
                          "rope_freqs.weight (llama3) are");
}

StatusOr<std::vector<float>> frequency_factors(const Keys& keys, int32_t pairs) {
  const GgufTensor* tensor = keys.file().tensor("rope_freqs.weight");
  if (tensor == nullptr) return std::vector<float>();
  const std::string name = keys.file().path() + ": tensor rope_freqs.weight ";
  if (tensor->type != TensorType::f32 || tensor->rows() != 1 || tensor->cols() != pairs) {
    return absl::InvalidArgumentError(name + fmt::format("must be {} values of F32", pairs));
  }
  std::vector<float> factors(static_cast<size_t>(pairs));
  dequantize(tensor->type, tensor->bytes, factors);
  for (const float factor : factors) {
    if (!(std::isfinite(factor) && factor > 0)) {
      return absl::InvalidArgumentError(name + "holds a value that is not above 0");
    }
  }
  return factors;
}

Status read_rope(const Keys& keys, DecoderConfig& c) {
  ASSIGN_OR_RETURN(c.rotary_width,
                   keys.integer_or("rope.dimension_count", 2, c.key_width, c.key_width));
  if (c.rotary_width % 2 != 0) return keys.wrong("rope.dimension_count", "must be even");
  ASSIGN_OR_RETURN(const double base, keys.positive_or("rope.freq_base", 10000.0));
  ASSIGN_OR_RETURN(const double linear, linear_factor(keys));
  ASSIGN_OR_RETURN(const std::vector<float> factors, frequency_factors(keys, c.rotary_width / 2));
  c.inverse_frequencies = inverse_frequencies(base, c.rotary_width, linear, factors);
  return absl::OkStatus();
}

// Bool, integer or float: as a number.
StatusOr<double> number(const GgufFile& file, const std::string& key) {
  if (StatusOr<bool> flag = file.get_bool(key); flag.ok()) return *flag ? 1.0 : 0.0;
  if (StatusOr<int64_t> whole = file.get_int(key); whole.ok()) return static_cast<double>(*whole);
  return file.get_float(key);
}

// Keys that change the arithmetic in ways that are not built. Passing over them would give wrong
// answers without a word.
Status refuse_unbuilt(const Keys& keys) {
  struct Unbuilt {
    const char* key;
    double harmless, unset;  // the values that change nothing
    const char* what;
  };
  static constexpr Unbuilt kUnbuilt[] = {
      {"expert_count", 0, 0, "mixtures of experts are not supported"},
      {"attention.sliding_window", 0, 0, "sliding windows are not supported"},
      {"attention.causal", 1, 1, "attention that is not causal is not supported"},
      {"attention.clamp_kqv", 0, 0, "clamped projections are not supported"},
      {"attention.max_alibi_bias", 0, 0, "ALiBi is not supported"},
      {"attn_logit_softcapping", 0, 0, "capped attention scores are not supported"},
      {"final_logit_softcapping", 0, 0, "capped logits are not supported"},
      {"rope.scaling.attn_factor", 1, 0, "a factor on cos and sin is not supported"},
      {"embedding_scale", 1, 0, "scaled embeddings are not supported"},
      {"residual_scale", 1, 0, "scaled residuals are not supported"},
      {"logit_scale", 1, 0, "scaled logits are not supported"},
  };
  for (const auto& [key, harmless, unset, what] : kUnbuilt) {
    if (!keys.has(key)) continue;
    ASSIGN_OR_RETURN(const double value, number(keys.file(), keys.prefix() + key));
    if (value != harmless && value != unset)
      return keys.unbuilt(key, fmt::format("{}: {}", value, what));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<double> inverse_frequencies(double base, int32_t width, double linear_factor,
                                        std::span<const float> factors) {
  std::vector<double> result(static_cast<size_t>(width / 2));
  for (size_t i = 0; i < result.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / width;
    const double factor = factors.empty() ? 1.0 : static_cast<double>(factors[i]);
    result[i] = 1.0 / (std::pow(base, exponent) * linear_factor * factor);
  }
  return result;
}

StatusOr<DecoderConfig> read_decoder_config(const GgufFile& file, const std::string& architecture) {
  const Keys keys(file, architecture + ".");
  DecoderConfig config;
  RETURN_IF_ERROR(refuse_unbuilt(keys));
  RETURN_IF_ERROR(read_shape(keys, config));
  RETURN_IF_ERROR(read_vocab(keys, config));
  RETURN_IF_ERROR(read_arithmetic(keys, config));
  RETURN_IF_ERROR(read_rope(keys, config));
  return config;
}

}  // namespace bessemer
