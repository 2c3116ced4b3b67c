// What a unit of a quantised tile holds (layout.h), the same for every instruction set; include
// after its vec.h.
#pragma once
#include "kernels/cpu/layout.h"

namespace bessemer::kernels {
namespace {

// A block's quants as they are packed, unpacked a step at a time.
template <int kBits_>
struct PackedQuants {
  static constexpr int kBits = kBits_;
  static constexpr bool kFour = (kBits & 4) != 0, kTwo = (kBits & 2) != 0, kOne = (kBits & 1) != 0;
  // Where the planes begin, in lines and in the bits of a quant.
  static constexpr int kTwoAt = kFour ? 4 : 0, kOneAt = kBits - 1;
  const uint8_t* block;

  B line(unsigned i) const { return load_bytes(block + i * kStepBytes); }

  // Bytes in [0, 2^kBits); 8 bits: signed.
  B step(unsigned i) const {
    const auto shift = static_cast<int>(i);
    if constexpr (kBits == 8) return line(i);
    B out;
    if constexpr (kFour) out = bits_at(line(i % 4), shift / 4 * 4, 0xf);
    if constexpr (kTwo) {
      const B two = bits_at(line(kTwoAt + i % 2), shift / 2 * 2 - kTwoAt, 3 << kTwoAt);
      out = kFour ? either(out, two) : two;
    }
    if constexpr (kOne) out = either(out, bits_at(line(kOneAt), shift - kOneAt, 1 << kOneAt));
    return out;
  }

  // Input k of each row.
  I column(unsigned k) const {
    const unsigned i = k / 4, shift = k % 4 * 8;
    if constexpr (kBits == 8) return byte_of(line(i), k % 4);
    I out;
    if constexpr (kFour) out = field(line(i % 4), shift + i / 4 * 4, 0xf);
    if constexpr (kTwo) {
      const I two = field(line(kTwoAt + i % 2), shift + i / 2 * 2, 3);
      out = kFour ? add(out, shift_left(two, kTwoAt)) : two;
    }
    if constexpr (kOne) {
      out = add(out, shift_left(field(line(kOneAt), shift + i, 1), kOneAt));
    }
    return out;
  }
};

// The same, a byte each.
template <int kBits_>
struct PlainQuants {
  static constexpr int kBits = kBits_;
  const uint8_t* block;

  B step(unsigned i) const { return load_bytes(block + i * kStepBytes); }
};

template <int kBits>
inline void unpack_quants(const uint8_t* block, uint8_t* out) {
  const PackedQuants<kBits> packed{block};
#pragma clang loop unroll(full)
  for (unsigned i = 0; i < kSteps; ++i) store_bytes(out + i * kStepBytes, packed.step(i));
}

// Scales of a block, where they are f16 or have been unpacked: for each group 16 scales, then 16
// minima where the format has them.
template <typename Traits, typename Scale>
struct ReadyScales {
  const Scale* at;

  F scale(uint32_t group) const { return load(at + group * Traits::kGroupScales); }
  F min(uint32_t group) const { return load(at + group * Traits::kGroupScales + kTileRows); }
};

// Of a block of a super-block: d and dmin times small integers, 16 of them for each group.
struct SmallScales {
  const int8_t *s, *m;
  F d, dmin;

  F scale(uint32_t group) const { return mul(d, load(s + group * kTileRows)); }
  F min(uint32_t group) const { return mul(dmin, load(m + group * kTileRows)); }
};

// The scales of a unit, read as its blocks' turn comes.
template <typename Traits>
struct UnitScales {
  const Half* head;

  void open(const uint8_t* unit) { head = reinterpret_cast<const Half*>(unit); }
  void open_at(const uint8_t* unit, uint32_t) { open(unit); }
  ReadyScales<Traits, Half> of_block(uint32_t block) const {
    return {head + block * Traits::kBlockScales};
  }
};

template <typename Traits>
  requires(Traits::kSuper)
struct UnitScales<Traits> {
  static constexpr bool kInPlace = Traits::kScaleForm == ScaleForm::bytes;
  static constexpr uint32_t kBytes = Traits::kUnitGroups * kTileRows;
  const uint8_t* small;
  F d, dmin;
  alignas(64) uint8_t s[kInPlace ? 1 : kBytes], m[kInPlace ? 1 : kBytes];

  void open(const uint8_t* unit) {
    open_at(unit, 0);
    if constexpr (!kInPlace) {
#pragma clang loop unroll(full)
      for (uint32_t at = kStepBytes; at < kBytes; at += kStepBytes) unpack(at);
    }
  }
  // For this block alone.
  void open_at(const uint8_t* unit, uint32_t block) {
    const auto* head = reinterpret_cast<const Half*>(unit);
    d = load(head);
    if constexpr (Traits::kMin) dmin = load(head + kTileRows);
    small = unit + Traits::kHeadBytes;
    if constexpr (!kInPlace) unpack(block * Traits::kGroups * kTileRows / kStepBytes * kStepBytes);
  }
  SmallScales of_block(uint32_t block) const {
    const uint32_t at = block * Traits::kGroups * kTileRows;
    const auto* scales = reinterpret_cast<const int8_t*>(kInPlace ? small : s);
    return {scales + at, reinterpret_cast<const int8_t*>(m) + at, d, dmin};
  }

 private:
  // Those of four groups, the line at byte `at`.
  void unpack(uint32_t at) {
    const B low = load_bytes(small + at);
    B scale = bits_at(low, 0, 0xf), min = bits_at(low, 4, 0xf);
    if constexpr (Traits::kScaleForm == ScaleForm::six_bits) {
      const B high = load_bytes(small + kBytes);
      const int shift = static_cast<int>(at / kStepBytes * 4);
      scale = either(scale, bits_at(high, shift - 4, 0x30));
      min = either(min, bits_at(high, shift - 2, 0x30));
    }
    store_bytes(s + at, scale);
    store_bytes(m + at, min);
  }
};

// All scales of a unit as f32, as ReadyScales has them.
template <typename Traits>
inline void unpack_scales(const uint8_t* unit, float* out) {
  UnitScales<Traits> scales;
  scales.open(unit);
  for (uint32_t block = 0; block < Traits::kUnit; ++block) {
    const auto of_block = scales.of_block(block);
    for (uint32_t g = 0; g < Traits::kGroups; ++g, out += Traits::kGroupScales) {
      store(out, of_block.scale(g));
      if constexpr (Traits::kMin) store(out + kTileRows, of_block.min(g));
    }
  }
}

// What 16 rows have at one input, in f32.
template <typename Traits>
inline F weight_column(const uint8_t* tile, uint32_t input) {
  constexpr uint32_t kEach = kBlock / Traits::kGroups;
  const uint32_t block = input / kBlock, k = input % kBlock;
  const PackedQuants<Traits::kBits> quants{tile + quants_at<Traits>(block)};
  F value = to_float(quants.column(k));
  if constexpr (Traits::kOffset != 0) value = sub(value, set(Traits::kOffset));
  UnitScales<Traits> unit;
  unit.open_at(tile + unit_at<Traits>(block), block % Traits::kUnit);
  const auto scales = unit.of_block(block % Traits::kUnit);
  const F scale = scales.scale(k / kEach);
  if constexpr (Traits::kMin) return fma(scale, value, scales.min(k / kEach));
  return mul(scale, value);
}

}  // namespace
}  // namespace bessemer::kernels
