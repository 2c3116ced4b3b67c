#include "worker/backend/cpu/unpack.h"

#include <cstring>

#include "common/check.h"
#include "worker/format/dequantize.h"

namespace bessemer::cpu {
namespace {

using kernels::TileFormat;

// Byte layouts: the GGUF specification (as in worker/format/dequantize.cpp, which the tests hold
// this file against).
constexpr int32_t kSuperBlock = 256;

void set_scale(WeightBlock& out, float scale, float min) {
  out.scales = {scale, scale};
  out.mins = {min, min};
}

// A quant of an 8-bit tile.
uint8_t as_byte(int quant) {
  return static_cast<uint8_t>(static_cast<int8_t>(quant));
}

// Five-bit values: 16 bytes of nibbles, low ones first, and bit i of `high` on top of value i.
void set_five_bits(WeightBlock& out, const uint8_t* nibbles, uint32_t high, int offset) {
  for (size_t i = 0; i < 32; ++i) {
    const int low = nibbles[i % 16] >> (i / 16 * 4) & 0xf;
    out.quants[i] = as_byte((low | static_cast<int>((high >> i & 1) << 4)) + offset);
  }
}

// 6 bits of scale and of minimum of group `g` (of 8) in the 12 bytes of Q4_K and Q5_K.
void set_k_scale(WeightBlock& out, const uint8_t* super, size_t g) {
  const float d = load_half(super), dmin = load_half(super + 2);
  const uint8_t* s = super + 4;
  const int scale = g < 4 ? s[g] & 0x3f : (s[4 + g] & 0xf) | (s[g - 4] >> 2 & 0x30);
  const int min = g < 4 ? s[4 + g] & 0x3f : s[4 + g] >> 4 | (s[g] >> 2 & 0x30);
  set_scale(out, d * static_cast<float>(scale), -(dmin * static_cast<float>(min)));
}

// Nibble `i` of group `g` out of 128 bytes in which 64 values share 32 bytes.
int k_nibble(const uint8_t* q, size_t g, size_t i) {
  return q[g / 2 * 32 + i] >> (g % 2 * 4) & 0xf;
}

// {u8 scales[16]; u8 q[64]; half d, dmin}
void unpack_q2_k(const uint8_t* super, size_t g, WeightBlock& out) {
  const float d = load_half(super + 80), dmin = load_half(super + 82);
  for (size_t half = 0; half < 2; ++half) {
    const uint8_t scale = super[2 * g + half];
    out.scales[half] = d * static_cast<float>(scale & 0xf);
    out.mins[half] = -(dmin * static_cast<float>(scale >> 4));
  }
  for (size_t i = 0; i < 32; ++i) {
    out.quants[i] = as_byte(super[16 + g / 4 * 32 + i] >> (g % 4 * 2) & 3);
  }
}

// {u8 high[32]; u8 q[64]; u8 scales[12]; half d}
void unpack_q3_k(const uint8_t* super, size_t g, WeightBlock& out) {
  const float d = load_half(super + 108);
  const uint8_t* s = super + 96;
  for (size_t half = 0; half < 2; ++half) {
    const size_t i = 2 * g + half;
    const int low = i < 8 ? s[i] & 0xf : s[i - 8] >> 4, high = s[8 + i % 4] >> (i / 4 * 2) & 3;
    out.scales[half] = d * static_cast<float>((low | high << 4) - 32);
  }
  out.mins = {};
  for (size_t i = 0; i < 32; ++i) {
    const int low = super[32 + g / 4 * 32 + i] >> (g % 4 * 2) & 3;
    out.quants[i] = as_byte(low - (super[i] >> g & 1 ? 0 : 4));
  }
}

// {half d, dmin; u8 scales[12]; u8 q[128]}
void unpack_q4_k(const uint8_t* super, size_t g, WeightBlock& out) {
  set_k_scale(out, super, g);
  for (size_t i = 0; i < 16; ++i) {
    out.quants[i] =
        static_cast<uint8_t>(k_nibble(super + 16, g, i) | k_nibble(super + 16, g, i + 16) << 4);
  }
}

// {half d, dmin; u8 scales[12]; u8 high[32]; u8 q[128]}
void unpack_q5_k(const uint8_t* super, size_t g, WeightBlock& out) {
  set_k_scale(out, super, g);
  for (size_t i = 0; i < 32; ++i) {
    out.quants[i] = as_byte(k_nibble(super + 48, g, i) | (super[16 + i] >> g & 1) << 4);
  }
}

// {u8 low[128]; u8 high[64]; i8 scales[16]; half d}
void unpack_q6_k(const uint8_t* super, size_t g, WeightBlock& out) {
  const float d = load_half(super + 208);
  for (size_t half = 0; half < 2; ++half) {
    out.scales[half] = d * static_cast<float>(static_cast<int8_t>(super[192 + 2 * g + half]));
  }
  out.mins = {};
  for (size_t i = 0; i < 32; ++i) {
    const size_t within = g % 4 * 32 + i;  // of 128 values that share 64 + 32 bytes
    const int low = super[g / 4 * 64 + within % 64] >> (within / 64 * 4) & 0xf;
    const int high = super[128 + g / 4 * 32 + i] >> (g % 4 * 2) & 3;
    out.quants[i] = as_byte((low | high << 4) - 32);
  }
}

void unpack_simple(TensorType type, const uint8_t* block, WeightBlock& out) {
  const bool has_min = type == TensorType::q4_1 || type == TensorType::q5_1;
  set_scale(out, load_half(block), has_min ? load_half(block + 2) : 0.0f);
  switch (type) {
    case TensorType::q4_0:
      std::memcpy(out.quants.data(), block + 2, 16);
      return;
    case TensorType::q4_1:
      std::memcpy(out.quants.data(), block + 4, 16);
      return;
    case TensorType::q5_0:
      return set_five_bits(out, block + 6, load_u32(block + 2), -16);
    case TensorType::q5_1:
      return set_five_bits(out, block + 8, load_u32(block + 4), 0);
    default:
      CHECK(type == TensorType::q8_0);
      std::memcpy(out.quants.data(), block + 2, 32);
  }
}

void unpack_k(TensorType type, const uint8_t* super, size_t g, WeightBlock& out) {
  switch (type) {
    case TensorType::q2_k:
      return unpack_q2_k(super, g, out);
    case TensorType::q3_k:
      return unpack_q3_k(super, g, out);
    case TensorType::q5_k:
      return unpack_q5_k(super, g, out);
    case TensorType::q6_k:
      return unpack_q6_k(super, g, out);
    default:
      CHECK(type == TensorType::q4_k);
      unpack_q4_k(super, g, out);
  }
}

}  // namespace

TileFormat tile_format(TensorType type) {
  switch (type) {
    case TensorType::f32:
      return TileFormat::f32;
    case TensorType::f16:
      return TileFormat::f16;
    case TensorType::bf16:
      return TileFormat::bf16;
    case TensorType::q4_0:
      return TileFormat::u4_offset8;
    case TensorType::q4_1:
      return TileFormat::u4_min;
    case TensorType::q5_0:
    case TensorType::q8_0:
      return TileFormat::i8;
    case TensorType::q5_1:
      return TileFormat::i8_min;
    case TensorType::q2_k:
      return TileFormat::i8_half_min;
    case TensorType::q3_k:
    case TensorType::q6_k:
      return TileFormat::i8_half;
    case TensorType::q4_k:
      return TileFormat::u4_min_f32;
    case TensorType::q5_k:
      return TileFormat::i8_min_f32;
  }
  check_failed("tile_format: a TensorType outside its enumerators", __FILE__, __LINE__);
}

WeightBlock unpack_block(TensorType type, const std::byte* row, int32_t index) {
  const TensorTypeTraits& traits = traits_of(type);
  const int32_t per_block = traits.block_values / kernels::kBlock;  // 1, or 8 in a super-block
  const auto* block = reinterpret_cast<const uint8_t*>(row) +
                      static_cast<ptrdiff_t>(index / per_block) * traits.block_bytes;
  WeightBlock out;
  if (traits.block_values == kSuperBlock) {
    unpack_k(type, block, static_cast<size_t>(index % per_block), out);
  } else {
    unpack_simple(type, block, out);
  }
  return out;
}

}  // namespace bessemer::cpu
