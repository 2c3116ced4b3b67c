// How a packed weight lies in memory: one layout for every instruction set.
//
// A weight is cut into tiles of 16 output rows; a tile is one contiguous piece, 64-byte aligned:
//   quantised: for each block of 32 inputs the quants, then for each block the scales
//     quants  4 consecutive inputs of row 0, of row 1, ... of row 15, then the next 4 inputs: 64
//             bytes are one operand of AVX-512's vpdpbusd and two registers of AVX2. 4-bit quants
//             keep GGUF's order: byte j of a row has input j in its low half, input j + 16 in its
//             high half, so 64 bytes hold inputs 4i..4i+3 and 4i+16..4i+19.
//     scales  16 scales, then 16 minima where the format has them; twice where it has a scale for
//             each 16 inputs
//   floats: 16 rows' values of input 0, then of input 1, ...
// Rows behind the last one are zero.
//
// Constants only: files compiled for several instruction sets read this header (see kernels.h).
#pragma once
#include <cstddef>
#include <cstdint>

namespace bessemer::kernels {

constexpr int32_t kTileRows = 16;
constexpr int32_t kBlock = 32;  // inputs that share a scale of the activations

// Storage types of 16-bit floats.
struct Half {
  uint16_t bits;
};
struct Bfloat {
  uint16_t bits;
};

enum class TileFormat : uint8_t {
  u4_offset8,   // value = d (q - 8), d f16: Q4_0
  u4_min,       // d q + m, f16: Q4_1
  u4_min_f32,   // d q + m, f32: Q4_K
  i8,           // d q, f16: Q8_0, Q5_0
  i8_min,       // d q + m, f16: Q5_1
  i8_min_f32,   // d q + m, f32: Q5_K
  i8_half,      // d q, f32, d each 16 inputs: Q3_K, Q6_K
  i8_half_min,  // d q + m, f32, d and m each 16 inputs: Q2_K
  f32,
  f16,
  bf16,
};
constexpr size_t kTileFormats = 11;

template <TileFormat>
struct TileTraits;

// Bits of a quant, what is subtracted from it, scales in a block, whether there are minima, and the
// type of both. Bytes and scales (with minima) are those of one block of 16 rows.
template <int32_t kBits_, int32_t kOffset_, int32_t kGroups_, bool kMin_, typename Scale_>
struct QuantTraits {
  static constexpr bool kQuantised = true;
  using Scale = Scale_;
  static constexpr int32_t kBits = kBits_, kOffset = kOffset_, kGroups = kGroups_;
  static constexpr bool kMin = kMin_;
  static constexpr int32_t kQuantBytes = kTileRows * kBlock * kBits / 8;
  static constexpr int32_t kScales = kTileRows * kGroups * (kMin ? 2 : 1);
  static constexpr int32_t kBlockBytes =
      kQuantBytes + kScales * static_cast<int32_t>(sizeof(Scale));
};
template <typename Value_>
struct FloatTraits {
  static constexpr bool kQuantised = false;
  using Value = Value_;
};

template <>
struct TileTraits<TileFormat::u4_offset8> : QuantTraits<4, 8, 1, false, Half> {};
template <>
struct TileTraits<TileFormat::u4_min> : QuantTraits<4, 0, 1, true, Half> {};
template <>
struct TileTraits<TileFormat::u4_min_f32> : QuantTraits<4, 0, 1, true, float> {};
template <>
struct TileTraits<TileFormat::i8> : QuantTraits<8, 0, 1, false, Half> {};
template <>
struct TileTraits<TileFormat::i8_min> : QuantTraits<8, 0, 1, true, Half> {};
template <>
struct TileTraits<TileFormat::i8_min_f32> : QuantTraits<8, 0, 1, true, float> {};
template <>
struct TileTraits<TileFormat::i8_half> : QuantTraits<8, 0, 2, false, float> {};
template <>
struct TileTraits<TileFormat::i8_half_min> : QuantTraits<8, 0, 2, true, float> {};
template <>
struct TileTraits<TileFormat::f32> : FloatTraits<float> {};
template <>
struct TileTraits<TileFormat::f16> : FloatTraits<Half> {};
template <>
struct TileTraits<TileFormat::bf16> : FloatTraits<Bfloat> {};

// Activations as the quantised products read them: a row is `depth` int8 values, one
// ActivationBlock for each 32 of them, then the row's outliers in order, ended by one whose input
// is kNoInput. value = q * scale, scale = largest magnitude / 127. A block with a value that is not
// finite has q = 0 and scale NaN.
struct ActivationBlock {
  float scale;
  float scaled_sum;   // scale * (float)sum
  int32_t sum;        // of the block's q
  int32_t first_sum;  // of its first 16
};

// A value kept in f32, its q being 0: the largest of a block whose others are all below
// 1 / kOutlierRatio of it, which would leave them few steps of the block's scale. At most one in a
// block. The ratio weighs error against work (decisions/0005-outliers.md).
struct Outlier {
  int32_t input;
  float value;
};
constexpr float kOutlierRatio = 3.0f;
constexpr int32_t kNoInput = -1;

}  // namespace bessemer::kernels
