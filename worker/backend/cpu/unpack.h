// One block of 32 weights as its file holds it -> quants and scales, nothing rounded or multiplied
// out: what packing needs. Byte layouts: the GGUF specification (as in worker/format/dequantize.cpp,
// which the tests hold this file against).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "common/tensor_type.h"
#include "kernels/cpu/layout.h"

namespace bessemer::cpu {

// value[i] = scale * (quant[i] - the tile format's offset) + minimum, where
//   scale = d, minimum = min; or in the K formats
//   scale = d * scales[g], minimum = min * mins[g], g: the group (kernels/cpu/layout.h) of i
struct WeightBlock {
  std::array<uint8_t, kernels::kBlock> quants;  // 8 bits: two's complement
  uint16_t d, min;                              // f16; unused: has none
  std::array<uint8_t, 2> scales, mins;          // two's complement where the format has signs
};

// `block`: of the file; the K formats' super-blocks hold eight, of which this is number `g`.
template <kernels::TileFormat>
void unpack_into(const uint8_t* block, size_t g, WeightBlock& out);

inline uint16_t half_at(const uint8_t* at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return bits;
}
// The formats subtract their minimum; tiles add it.
inline uint16_t negated(uint16_t half) {
  return half ^ 0x8000;
}

// 32 nibbles in 16 bytes, low ones first.
inline void set_nibbles(WeightBlock& out, const uint8_t* nibbles) {
  for (size_t i = 0; i < 16; ++i) {
    out.quants[i] = nibbles[i] & 0xf;
    out.quants[i + 16] = nibbles[i] >> 4;
  }
}

// Bit i of `high` becomes bit 4 of quant i.
inline void add_fifth_bits(WeightBlock& out, const uint8_t* high) {
  constexpr uint64_t kEach = 0x0101010101010101;
  for (size_t i = 0; i < 4; ++i) {
    // Byte j keeps bit j alone; what is above zero then carries into bit 7.
    const uint64_t alone = kEach * high[i] & 0x8040201008040201;
    const uint64_t bits = (alone + kEach * 0x7f) >> 7 & kEach;
    uint64_t quants;
    std::memcpy(&quants, out.quants.data() + 8 * i, sizeof quants);
    quants |= bits << 4;
    std::memcpy(out.quants.data() + 8 * i, &quants, sizeof quants);
  }
}

// {half d; u8 q[16]}
template <>
inline void unpack_into<kernels::TileFormat::q4_0>(const uint8_t* block, size_t, WeightBlock& out) {
  out.d = half_at(block);
  set_nibbles(out, block + 2);
}

// {half d, m; u8 q[16]}
template <>
inline void unpack_into<kernels::TileFormat::q4_1>(const uint8_t* block, size_t, WeightBlock& out) {
  out.d = half_at(block);
  out.min = half_at(block + 2);
  set_nibbles(out, block + 4);
}

// {half d; u32 high; u8 q[16]}
template <>
inline void unpack_into<kernels::TileFormat::q5_0>(const uint8_t* block, size_t, WeightBlock& out) {
  out.d = half_at(block);
  set_nibbles(out, block + 6);
  add_fifth_bits(out, block + 2);
}

// {half d, m; u32 high; u8 q[16]}
template <>
inline void unpack_into<kernels::TileFormat::q5_1>(const uint8_t* block, size_t, WeightBlock& out) {
  out.d = half_at(block);
  out.min = half_at(block + 2);
  set_nibbles(out, block + 8);
  add_fifth_bits(out, block + 4);
}

// {half d; i8 q[32]}
template <>
inline void unpack_into<kernels::TileFormat::q8_0>(const uint8_t* block, size_t, WeightBlock& out) {
  out.d = half_at(block);
  std::memcpy(out.quants.data(), block + 2, 32);
}

// 6 bits of scale and of minimum of group `g` (of 8) in the 12 bytes of Q4_K and Q5_K.
inline void set_k_scale(WeightBlock& out, const uint8_t* super, size_t g) {
  out.d = half_at(super);
  out.min = negated(half_at(super + 2));
  const uint8_t* s = super + 4;
  const int scale = g < 4 ? s[g] & 0x3f : (s[4 + g] & 0xf) | (s[g - 4] >> 2 & 0x30);
  const int min = g < 4 ? s[4 + g] & 0x3f : s[4 + g] >> 4 | (s[g] >> 2 & 0x30);
  out.scales[0] = static_cast<uint8_t>(scale);
  out.mins[0] = static_cast<uint8_t>(min);
}

// Group `g` out of 128 bytes of nibbles in which 64 values share 32 bytes.
inline void set_k_nibbles(WeightBlock& out, const uint8_t* q, size_t g) {
  for (size_t i = 0; i < 32; ++i) out.quants[i] = q[g / 2 * 32 + i] >> (g % 2 * 4) & 0xf;
}

// {u8 scales[16]; u8 q[64]; half d, dmin}
template <>
inline void unpack_into<kernels::TileFormat::q2_k>(const uint8_t* super, size_t g,
                                                   WeightBlock& out) {
  out.d = half_at(super + 80);
  out.min = negated(half_at(super + 82));
  for (size_t half = 0; half < 2; ++half) {
    const uint8_t scale = super[2 * g + half];
    out.scales[half] = scale & 0xf;
    out.mins[half] = scale >> 4;
  }
  for (size_t i = 0; i < 32; ++i) {
    out.quants[i] = super[16 + g / 4 * 32 + i] >> (g % 4 * 2) & 3;
  }
}

// {u8 high[32]; u8 q[64]; u8 scales[12]; half d}
template <>
inline void unpack_into<kernels::TileFormat::q3_k>(const uint8_t* super, size_t g,
                                                   WeightBlock& out) {
  out.d = half_at(super + 108);
  const uint8_t* s = super + 96;
  for (size_t half = 0; half < 2; ++half) {
    const size_t i = 2 * g + half;
    const int low = i < 8 ? s[i] & 0xf : s[i - 8] >> 4, high = s[8 + i % 4] >> (i / 4 * 2) & 3;
    out.scales[half] = static_cast<uint8_t>((low | high << 4) - 32);
  }
  for (size_t i = 0; i < 32; ++i) {
    const int low = super[32 + g / 4 * 32 + i] >> (g % 4 * 2) & 3, high = super[i] >> g & 1;
    out.quants[i] = static_cast<uint8_t>(low | high << 2);
  }
}

// {half d, dmin; u8 scales[12]; u8 q[128]}
template <>
inline void unpack_into<kernels::TileFormat::q4_k>(const uint8_t* super, size_t g,
                                                   WeightBlock& out) {
  set_k_scale(out, super, g);
  set_k_nibbles(out, super + 16, g);
}

// {half d, dmin; u8 scales[12]; u8 high[32]; u8 q[128]}
template <>
inline void unpack_into<kernels::TileFormat::q5_k>(const uint8_t* super, size_t g,
                                                   WeightBlock& out) {
  set_k_scale(out, super, g);
  set_k_nibbles(out, super + 48, g);
  for (size_t i = 0; i < 32; ++i) {
    out.quants[i] |= static_cast<uint8_t>((super[16 + i] >> g & 1) << 4);
  }
}

// {u8 low[128]; u8 high[64]; i8 scales[16]; half d}
template <>
inline void unpack_into<kernels::TileFormat::q6_k>(const uint8_t* super, size_t g,
                                                   WeightBlock& out) {
  out.d = half_at(super + 208);
  std::memcpy(out.scales.data(), super + 192 + 2 * g, 2);
  // 128 values share 64 bytes of low bits and 32 of high ones.
  const uint8_t *low = super + g / 4 * 64 + g % 2 * 32, *high = super + 128 + g / 4 * 32;
  for (size_t i = 0; i < 32; ++i) {
    const int bits = low[i] >> (g % 4 / 2 * 4) & 0xf, top = high[i] >> (g % 4 * 2) & 3;
    out.quants[i] = static_cast<uint8_t>(bits | top << 4);
  }
}

}  // namespace bessemer::cpu
