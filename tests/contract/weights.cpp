#include "tests/contract/weights.h"

#include <cstring>

#include "worker/format/dequantize.h"

namespace bessemer {
namespace {

float small_scale(Random& random) {
  const float size = 0.002f + 0.008f * static_cast<float>(random.uniform());
  return random.chance(0.5) ? size : -size;
}

void put_half(std::byte* at, float value) {
  const uint16_t bits = float_to_half(value);
  std::memcpy(at, &bits, sizeof bits);
}

// Where a block keeps its f16 fields, and how much smaller they must be so that values stay near
// 0.1.
struct HalfFields {
  std::vector<size_t> offsets;
  float factor;
};

HalfFields half_fields(TensorType type) {
  switch (type) {
    case TensorType::q4_0:
    case TensorType::q5_0:
      return {{0}, 1.0f};
    case TensorType::q8_0:
      return {{0}, 0.1f};
    case TensorType::q4_1:
    case TensorType::q5_1:
      return {{0, 2}, 1.0f};
    case TensorType::q2_k:
      return {{80, 82}, 0.2f};
    case TensorType::q3_k:
      return {{108}, 0.1f};
    case TensorType::q4_k:
    case TensorType::q5_k:
      return {{0, 2}, 0.02f};
    case TensorType::q6_k:
      return {{208}, 0.01f};
    default:
      return {{}, 1.0f};
  }
}

void draw_value(Random& random, TensorType type, std::byte* at) {
  const float value = 20.0f * small_scale(random);
  if (type == TensorType::f32) {
    std::memcpy(at, &value, sizeof value);
  } else {
    const uint16_t bits = type == TensorType::f16 ? float_to_half(value) : float_to_bfloat(value);
    std::memcpy(at, &bits, sizeof bits);
  }
}

}  // namespace

bool is_float_type(TensorType type) {
  return traits_of(type).block_values == 1;
}

std::vector<float> RawWeight::values() const {
  std::vector<float> out(static_cast<size_t>(rows) * static_cast<size_t>(cols));
  dequantize(type, bytes, out);
  return out;
}

RawWeight random_weight(Random& random, TensorType type, int32_t rows, int32_t cols, bool bias) {
  RawWeight weight{type, rows, cols, {}, {}};
  weight.bytes.resize(row_bytes(type, cols) * static_cast<size_t>(rows));
  for (std::byte& byte : weight.bytes) byte = static_cast<std::byte>(random.below(256));
  const HalfFields fields = half_fields(type);
  const auto block = static_cast<size_t>(traits_of(type).block_bytes);
  for (size_t at = 0; at < weight.bytes.size(); at += block) {
    if (is_float_type(type)) draw_value(random, type, weight.bytes.data() + at);
    for (const size_t offset : fields.offsets) {
      put_half(weight.bytes.data() + at + offset, fields.factor * small_scale(random));
    }
  }
  for (int32_t r = 0; bias && r < rows; ++r) weight.bias.push_back(small_scale(random) * 100);
  return weight;
}

RawWeight exact_weight(const std::vector<float>& values, int32_t rows, int32_t cols) {
  RawWeight weight{TensorType::f32, rows, cols, {}, {}};
  weight.bytes.resize(values.size() * sizeof(float));
  std::memcpy(weight.bytes.data(), values.data(), weight.bytes.size());
  return weight;
}

}  // namespace bessemer
