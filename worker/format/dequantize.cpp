#include "worker/format/dequantize.h"

#include <bit>
#include <cstring>

#include "common/check.h"

namespace bessemer {
namespace {

constexpr size_t kBlock = 32;        // values of a simple quantised block
constexpr size_t kSuperBlock = 256;  // values of a K block

// One block in, its values out. Byte layouts: the GGUF specification; the order of the float
// operations is the public reference's, since the results must agree bit for bit.
using BlockFunction = void (*)(const uint8_t* block, float* out);

void f32_block(const uint8_t* block, float* out) {
  std::memcpy(out, block, sizeof(float));
}

void f16_block(const uint8_t* block, float* out) {
  *out = load_half(block);
}

void bf16_block(const uint8_t* block, float* out) {
  uint16_t bits;
  std::memcpy(&bits, block, sizeof bits);
  *out = bfloat_to_float(bits);
}

// {half d; u8 q[16]}: low nibbles are values 0-15, high ones 16-31.
void q4_0_block(const uint8_t* block, float* out) {
  const float d = load_half(block);
  const uint8_t* q = block + 2;
  for (size_t i = 0; i < kBlock / 2; ++i) {
    out[i] = d * static_cast<float>((q[i] & 0xf) - 8);
    out[i + kBlock / 2] = d * static_cast<float>((q[i] >> 4) - 8);
  }
}

// {half d, m; u8 q[16]}
void q4_1_block(const uint8_t* block, float* out) {
  const float d = load_half(block), m = load_half(block + 2);
  const uint8_t* q = block + 4;
  for (size_t i = 0; i < kBlock / 2; ++i) {
    out[i] = d * static_cast<float>(q[i] & 0xf) + m;
    out[i + kBlock / 2] = d * static_cast<float>(q[i] >> 4) + m;
  }
}

// The fifth bits of value i and of value i + 16, in place (0 or 16).
int fifth_bit(uint32_t high, size_t value) {
  return static_cast<int>((high >> value) & 1u) << 4;
}

// {half d; u32 high; u8 q[16]}
void q5_0_block(const uint8_t* block, float* out) {
  const float d = load_half(block);
  const uint32_t high = load_u32(block + 2);
  const uint8_t* q = block + 6;
  for (size_t i = 0; i < kBlock / 2; ++i) {
    const size_t j = i + kBlock / 2;
    out[i] = d * static_cast<float>(((q[i] & 0xf) | fifth_bit(high, i)) - 16);
    out[j] = d * static_cast<float>(((q[i] >> 4) | fifth_bit(high, j)) - 16);
  }
}

// {half d, m; u32 high; u8 q[16]}
void q5_1_block(const uint8_t* block, float* out) {
  const float d = load_half(block), m = load_half(block + 2);
  const uint32_t high = load_u32(block + 4);
  const uint8_t* q = block + 8;
  for (size_t i = 0; i < kBlock / 2; ++i) {
    const size_t j = i + kBlock / 2;
    out[i] = d * static_cast<float>((q[i] & 0xf) | fifth_bit(high, i)) + m;
    out[j] = d * static_cast<float>((q[i] >> 4) | fifth_bit(high, j)) + m;
  }
}

// {half d; i8 q[32]}
void q8_0_block(const uint8_t* block, float* out) {
  const float d = load_half(block);
  const uint8_t* q = block + 2;
  for (size_t i = 0; i < kBlock; ++i) {
    out[i] = static_cast<float>(static_cast<int8_t>(q[i])) * d;
  }
}

// {u8 scales[16]; u8 q[64]; half d, dmin}: 16 groups of 16; a scale byte holds 4 bits of scale and
// 4 of minimum.
void q2_k_block(const uint8_t* block, float* out) {
  const uint8_t* scales = block;
  const uint8_t* q = block + 16;
  const float d = load_half(block + 80), dmin = load_half(block + 82);
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const size_t chunk = i / 128, shift = i % 128 / 32 * 2;
    const uint8_t scale = scales[i / 16];
    const float dl = d * static_cast<float>(scale & 0xf),
                ml = dmin * static_cast<float>(scale >> 4);
    out[i] = dl * static_cast<float>((q[chunk * 32 + i % 32] >> shift) & 3) - ml;
  }
}

// The 6-bit scale of group `group` (of 16) in Q3_K's 12 bytes: four low bits in bytes 0-7, two high
// ones in bytes 8-11.
int q3_k_scale(const uint8_t* scales, size_t group) {
  const int low = group < 8 ? scales[group] & 0xf : scales[group - 8] >> 4;
  const int high = (scales[8 + group % 4] >> (group / 4 * 2)) & 3;
  return (low | high << 4) - 32;
}

// {u8 high[32]; u8 q[64]; u8 scales[12]; half d}: a clear high bit subtracts 4.
void q3_k_block(const uint8_t* block, float* out) {
  const uint8_t* high = block;
  const uint8_t* q = block + 32;
  const uint8_t* scales = block + 96;
  const float d = load_half(block + 108);
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const size_t chunk = i / 128, shift = i % 128 / 32 * 2;
    const float dl = d * static_cast<float>(q3_k_scale(scales, i / 16));
    const int low = (q[chunk * 32 + i % 32] >> shift) & 3;
    const int offset = (high[i % 32] >> (i / 32)) & 1 ? 0 : 4;
    out[i] = dl * static_cast<float>(low - offset);
  }
}

struct ScaleMin {
  float scale, min;
};

// Group `group` (of 8) in the 12 bytes of Q4_K and Q5_K: 6 bits of scale, 6 of minimum. Groups 4-7
// keep their low bits in bytes 8-11 and their two high bits on top of the bytes of groups 0-3.
ScaleMin k_scale_min(const uint8_t* scales, size_t group) {
  const size_t g = group % 4;
  if (group < 4) {
    return {static_cast<float>(scales[g] & 0x3f), static_cast<float>(scales[4 + g] & 0x3f)};
  }
  return {static_cast<float>((scales[8 + g] & 0xf) | ((scales[g] >> 2) & 0x30)),
          static_cast<float>((scales[8 + g] >> 4) | ((scales[4 + g] >> 2) & 0x30))};
}

// {half d, dmin; u8 scales[12]; u8 q[128]}: 8 groups of 32; 64 values share 32 bytes, low nibbles
// first.
void q4_k_block(const uint8_t* block, float* out) {
  const float d = load_half(block), dmin = load_half(block + 2);
  const uint8_t* q = block + 16;
  for (size_t group = 0; group < 8; ++group) {
    const auto [scale, min] = k_scale_min(block + 4, group);
    const float dl = d * scale, ml = dmin * min;
    for (size_t i = 0; i < 32; ++i) {
      const int value = (q[group / 2 * 32 + i] >> (group % 2 * 4)) & 0xf;
      out[group * 32 + i] = dl * static_cast<float>(value) - ml;
    }
  }
}

// {half d, dmin; u8 scales[12]; u8 high[32]; u8 q[128]}: bit g of high[i] is the fifth bit of value
// i of group g.
void q5_k_block(const uint8_t* block, float* out) {
  const float d = load_half(block), dmin = load_half(block + 2);
  const uint8_t* high = block + 16;
  const uint8_t* q = block + 48;
  for (size_t group = 0; group < 8; ++group) {
    const auto [scale, min] = k_scale_min(block + 4, group);
    const float dl = d * scale, ml = dmin * min;
    for (size_t i = 0; i < 32; ++i) {
      const int low = (q[group / 2 * 32 + i] >> (group % 2 * 4)) & 0xf;
      const int value = low | ((high[i] >> group) & 1) << 4;
      out[group * 32 + i] = dl * static_cast<float>(value) - ml;
    }
  }
}

// {u8 low[128]; u8 high[64]; i8 scales[16]; half d}: per 128 values 64 bytes of low nibbles and 32
// of high bit pairs.
void q6_k_block(const uint8_t* block, float* out) {
  const uint8_t* low = block;
  const uint8_t* high = block + 128;
  const uint8_t* scales = block + 192;
  const float d = load_half(block + 208);
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const size_t chunk = i / 128, within = i % 128;
    const int l = (low[chunk * 64 + within % 64] >> (within / 64 * 4)) & 0xf;
    const int h = (high[chunk * 32 + within % 32] >> (within / 32 * 2)) & 3;
    const float dl = d * static_cast<float>(static_cast<int8_t>(scales[i / 16]));
    out[i] = dl * static_cast<float>((l | h << 4) - 32);
  }
}

BlockFunction block_function(TensorType type) {
  switch (type) {
    case TensorType::f32:
      return f32_block;
    case TensorType::f16:
      return f16_block;
    case TensorType::bf16:
      return bf16_block;
    case TensorType::q4_0:
      return q4_0_block;
    case TensorType::q4_1:
      return q4_1_block;
    case TensorType::q5_0:
      return q5_0_block;
    case TensorType::q5_1:
      return q5_1_block;
    case TensorType::q8_0:
      return q8_0_block;
    case TensorType::q2_k:
      return q2_k_block;
    case TensorType::q3_k:
      return q3_k_block;
    case TensorType::q4_k:
      return q4_k_block;
    case TensorType::q5_k:
      return q5_k_block;
    case TensorType::q6_k:
      return q6_k_block;
  }
  check_failed("dequantize: a TensorType outside its enumerators", __FILE__, __LINE__);
}

}  // namespace

float half_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu, mantissa = bits & 0x3ffu;
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24, exact in float
    return std::bit_cast<float>(std::bit_cast<uint32_t>(static_cast<float>(mantissa) * 0x1p-24f) |
                                sign);
  }
  const uint32_t wide = exponent == 31 ? 255u : exponent + (127u - 15u);
  return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
}

uint16_t float_to_half(float value) {
  constexpr uint32_t kInfinity = 0x7f800000u;  // of float
  constexpr uint32_t kOverflow = 0x477ff000u;  // 65520: rounds to infinity, as does all above
  constexpr uint32_t kSmallest = 0x38800000u;  // 2^-14: the smallest normal half
  constexpr uint32_t kUnderflow =
      0x33000000u;  // 2^-25: half of the smallest subnormal; ties to zero
  const uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7fffffffu;
  const uint32_t sign = (bits >> 16) & 0x8000u;
  uint32_t half;
  if (magnitude > kInfinity) {
    half = 0x7e00u | ((magnitude >> 13) & 0x3ffu);  // a quiet NaN
  } else if (magnitude >= kOverflow) {
    half = 0x7c00u;
  } else if (magnitude >= kSmallest) {
    half = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  } else if (magnitude > kUnderflow) {  // the result counts units of 2^-24
    const uint32_t shift = 126u - (magnitude >> 23),
                   significand = (magnitude & 0x7fffffu) | 0x800000u;
    half = (significand + (1u << (shift - 1)) - 1u + ((significand >> shift) & 1u)) >> shift;
  } else {
    half = 0;
  }
  return static_cast<uint16_t>(sign | half);
}

float bfloat_to_float(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

uint16_t float_to_bfloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return static_cast<uint16_t>(bits >> 16 | 0x40u);  // a quiet NaN
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

void dequantize(TensorType type, std::span<const std::byte> bytes, std::span<float> out) {
  const TensorTypeTraits& traits = traits_of(type);
  const size_t block_values = static_cast<size_t>(traits.block_values);
  const size_t block_bytes = static_cast<size_t>(traits.block_bytes);
  CHECK(bytes.size() == row_bytes(type, static_cast<int64_t>(out.size())));
  const BlockFunction convert = block_function(type);
  const uint8_t* block = reinterpret_cast<const uint8_t*>(bytes.data());
  for (size_t i = 0; i < out.size(); i += block_values, block += block_bytes) {
    convert(block, out.data() + i);
  }
}

}  // namespace bessemer
