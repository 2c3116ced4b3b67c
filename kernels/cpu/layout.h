// How a packed weight lies in memory: one layout for every instruction set.
//
// A weight is cut into tiles of 16 output rows. A tile is one contiguous piece, 64-byte aligned, read
// from front to back; rows behind the last one are zero.
//
// Quantised tiles are a sequence of units of kUnit blocks of 32 inputs: the scales of all its
// blocks, then the quants of each (the last unit may have fewer blocks, but room for all scales).
//   quants  A step is 4 consecutive inputs of row 0, of row 1, ... of row 15: 64 bytes, one operand
//           of AVX-512's vpdpbusd and two registers of AVX2; a block has 8. Quants of 8 bits lie
//           step by step. Narrower ones lie in planes of their lowest 4, then 2, then 1 bits, as
//           many as they have; a plane is a sequence of 64-byte lines whose bytes hold that byte of
//           several steps, the first in the lowest bits:
//             4 bits  line i: steps i, i + 4 (GGUF's own order of nibbles)
//             2 bits  line i: steps i, i + 2, i + 4, i + 6
//             1 bit   one line: all steps
//   scales  A group is the whole block, or each half of it: kGroups. See ScaleForm.
// Float tiles: 16 rows' values of input 0, then of input 1, ...
//
// Constants only: files compiled for several instruction sets read this header (see kernels.h).
#pragma once
#include <cstddef>
#include <cstdint>

namespace bessemer::kernels {

constexpr int32_t kTileRows = 16;
constexpr int32_t kBlock = 32;  // inputs that share a scale of the activations
constexpr int32_t kSteps = 8;   // of a block
constexpr int32_t kStepBytes = kTileRows * kBlock / kSteps;
constexpr int32_t kPlainBytes = kTileRows * kBlock;  // a block's quants, a byte each

// Storage types of 16-bit floats.
struct Half {
  uint16_t bits;
};
struct Bfloat {
  uint16_t bits;
};

// Each holds one type of GGUF without rounding.
enum class TileFormat : uint8_t {
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  f32,
  f16,
  bf16,
};
constexpr size_t kTileFormats = 13;

// The scales at the head of a unit; values of 16 rows side by side. A minimum is what is added to
// scale * quant.
enum class ScaleForm : uint8_t {
  // for each group 16 f16 scales, then 16 f16 minima where the format has them
  halves,
  // The others: 16 f16 d, then 16 f16 dmin where there are minima; scale = d * s, minimum = dmin *
  // m, both exact in f32, with s and m
  // for each group 16 int8 s
  bytes,
  // for each group 16 bytes: s in the lowest 4 bits, m in the others
  nibbles,
  // 6 bits each, of 8 groups: for each group 16 bytes with the lowest 4 bits of s, then of m; then
  // a line whose 16 bytes i hold bits 4 and 5 of s and of m of group i, then of group i + 4
  six_bits,
};

template <TileFormat>
struct TileTraits;

// Bits of a quant, what is subtracted from it (0 or a power of two; 8 bits are signed), groups in a
// block, whether there are minima.
template <TileFormat kFormat_, int32_t kBits_, int32_t kOffset_, int32_t kGroups_, bool kMin_,
          ScaleForm kScaleForm_>
struct QuantTraits {
  static constexpr bool kQuantised = true;
  static constexpr int32_t kBits = kBits_, kOffset = kOffset_, kGroups = kGroups_;
  static constexpr bool kMin = kMin_;
  static constexpr TileFormat kFormat = kFormat_;
  static constexpr ScaleForm kScaleForm = kScaleForm_;
  static constexpr bool kSuper = kScaleForm != ScaleForm::halves;
  // Blocks of a unit: those of a super-block, or so few that units are whole cache lines.
  static constexpr int32_t kUnit = kSuper ? 8 : 2;
  static constexpr int32_t kUnitGroups = kUnit * kGroups;
  // Values of a group or block, minima with them.
  static constexpr int32_t kGroupScales = kTileRows * (kMin ? 2 : 1);
  static constexpr int32_t kBlockScales = kGroupScales * kGroups;
  static constexpr int32_t kHeadBytes = kGroupScales * 2;  // d and dmin, or a group's f16
  static constexpr int32_t kScaleBytes = kScaleForm == ScaleForm::halves ? kUnitGroups * kHeadBytes
                                         : kScaleForm == ScaleForm::six_bits
                                             ? kHeadBytes + kUnitGroups * kTileRows * 12 / 8
                                             : kHeadBytes + kUnitGroups * kTileRows;
  static constexpr int32_t kQuantBytes = kPlainBytes * kBits / 8;
  static constexpr int32_t kUnitBytes = kScaleBytes + kUnit * kQuantBytes;
};
template <typename Value_>
struct FloatTraits {
  static constexpr bool kQuantised = false;
  using Value = Value_;
};

template <>
struct TileTraits<TileFormat::q4_0>
    : QuantTraits<TileFormat::q4_0, 4, 8, 1, false, ScaleForm::halves> {};
template <>
struct TileTraits<TileFormat::q4_1>
    : QuantTraits<TileFormat::q4_1, 4, 0, 1, true, ScaleForm::halves> {};
template <>
struct TileTraits<TileFormat::q5_0>
    : QuantTraits<TileFormat::q5_0, 5, 16, 1, false, ScaleForm::halves> {};
template <>
struct TileTraits<TileFormat::q5_1>
    : QuantTraits<TileFormat::q5_1, 5, 0, 1, true, ScaleForm::halves> {};
template <>
struct TileTraits<TileFormat::q8_0>
    : QuantTraits<TileFormat::q8_0, 8, 0, 1, false, ScaleForm::halves> {};
template <>
struct TileTraits<TileFormat::q2_k>
    : QuantTraits<TileFormat::q2_k, 2, 0, 2, true, ScaleForm::nibbles> {};
template <>
struct TileTraits<TileFormat::q3_k>
    : QuantTraits<TileFormat::q3_k, 3, 4, 2, false, ScaleForm::bytes> {};
template <>
struct TileTraits<TileFormat::q4_k>
    : QuantTraits<TileFormat::q4_k, 4, 0, 1, true, ScaleForm::six_bits> {};
template <>
struct TileTraits<TileFormat::q5_k>
    : QuantTraits<TileFormat::q5_k, 5, 0, 1, true, ScaleForm::six_bits> {};
template <>
struct TileTraits<TileFormat::q6_k>
    : QuantTraits<TileFormat::q6_k, 6, 32, 2, false, ScaleForm::bytes> {};
template <>
struct TileTraits<TileFormat::f32> : FloatTraits<float> {};
template <>
struct TileTraits<TileFormat::f16> : FloatTraits<Half> {};
template <>
struct TileTraits<TileFormat::bf16> : FloatTraits<Bfloat> {};

// Of a quantised tile of `blocks` blocks.
template <typename Traits>
constexpr size_t quantised_tile_bytes(int32_t blocks) {
  const int32_t units = (blocks + Traits::kUnit - 1) / Traits::kUnit;
  return static_cast<size_t>(units) * size_t{Traits::kScaleBytes} +
         static_cast<size_t>(blocks) * size_t{Traits::kQuantBytes};
}
// Where in its tile a block's unit begins, and its quants.
template <typename Traits>
constexpr size_t unit_at(size_t block) {
  return block / Traits::kUnit * Traits::kUnitBytes;
}
template <typename Traits>
constexpr size_t quants_at(size_t block) {
  return unit_at<Traits>(block) + Traits::kScaleBytes + block % Traits::kUnit * Traits::kQuantBytes;
}

// Activations as the quantised products read them: a row is `depth` int8 values, one
// ActivationBlock for each 32 of them, then the row's outliers in order, ended by one whose input
// is kNoInput. value = q * scale, scale = largest magnitude / 127. A block with a value that is not
// finite has q = 0 and scale NaN.
struct ActivationBlock {
  float scale;
  float scaled_sum;  // scale * sum
  float sum;         // of the block's q, exact
  float first_sum;   // of its first 16
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
