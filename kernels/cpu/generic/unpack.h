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

// s and m of four groups of 16 rows, from group 4 * part on, of a format with kSuper.
template <typename Traits>
struct SmallScales {
  alignas(64) uint8_t s[kStepBytes], m[kStepBytes];

  SmallScales(const uint8_t* unit, uint32_t part) {
    const uint8_t* lines = unit + Traits::kHeadBytes;
    const B line = load_bytes(lines + part * kStepBytes);
    if constexpr (Traits::kScaleForm == ScaleForm::bytes) {
      store_bytes(s, line);
    } else if constexpr (Traits::kScaleForm == ScaleForm::nibbles) {
      store_bytes(s, bits_at(line, 0, 0xf));
      store_bytes(m, bits_at(line, 4, 0xf));
    } else {
      const int shift = static_cast<int>(4 * part);
      const B high = load_bytes(lines + Traits::kUnitGroups / 4 * kStepBytes);
      store_bytes(s, either(bits_at(line, 0, 0xf), bits_at(high, shift - 4, 0x30)));
      store_bytes(m, either(bits_at(line, 4, 0xf), bits_at(high, shift - 2, 0x30)));
    }
  }
  F scale(uint32_t i, F d) const { return product(s, i, d); }
  F min(uint32_t i, F dmin) const { return product(m, i, dmin); }

 private:
  static F product(const uint8_t* small, uint32_t i, F d) {
    return mul(d, to_float(load(reinterpret_cast<const int8_t*>(small) + i * kTileRows)));
  }
};

// Scales of a unit as f32: for each group 16 scales, then 16 minima where the format has them.
template <typename Traits>
inline void unpack_scales(const uint8_t* unit, float* out) {
  const auto* head = reinterpret_cast<const Half*>(unit);
  if constexpr (!Traits::kSuper) {
    for (int i = 0; i < Traits::kUnit * Traits::kBlockScales; i += kTileRows) {
      store(out + i, load(head + i));
    }
  } else {
    const F d = load(head);
    F dmin = zero();
    if constexpr (Traits::kMin) dmin = load(head + kTileRows);
    for (uint32_t part = 0; part < Traits::kUnitGroups / 4; ++part) {
      const SmallScales<Traits> small(unit, part);
      for (uint32_t i = 0; i < 4; ++i, out += Traits::kGroupScales) {
        store(out, small.scale(i, d));
        if constexpr (Traits::kMin) store(out + kTileRows, small.min(i, dmin));
      }
    }
  }
}

// Where the scales of a unit are read: in place, or in `room` of unpacked ones.
template <typename Traits>
struct UnitScales {
  static constexpr int kRoom = Traits::kSuper ? Traits::kUnit * Traits::kBlockScales : 1;
  alignas(64) float room[kRoom];
  const uint8_t* unit;

  void open(const uint8_t* at) {
    unit = at;
    if constexpr (Traits::kSuper) unpack_scales<Traits>(at, room);
  }
  const auto* of_block(int block) const {
    if constexpr (Traits::kSuper) {
      return room + block * Traits::kBlockScales;
    } else {
      return reinterpret_cast<const Half*>(unit) + block * Traits::kBlockScales;
    }
  }
};

// What 16 rows have at one input, in f32.
template <typename Traits>
inline F weight_column(const uint8_t* tile, uint32_t input) {
  constexpr uint32_t kUnit = Traits::kUnit, kEach = kBlock / Traits::kGroups;
  const uint32_t block = input / kBlock, k = input % kBlock;
  const PackedQuants<Traits::kBits> quants{tile + quants_at<Traits>(block)};
  F value = to_float(quants.column(k));
  if constexpr (Traits::kOffset != 0) value = sub(value, set(Traits::kOffset));
  const uint8_t* unit = tile + unit_at<Traits>(block);
  const auto* head = reinterpret_cast<const Half*>(unit);
  const uint32_t group = block % kUnit * Traits::kGroups + k / kEach;
  F scale, min;
  if constexpr (Traits::kSuper) {
    const SmallScales<Traits> small(unit, group / 4);
    scale = small.scale(group % 4, load(head));
    if constexpr (Traits::kMin) min = small.min(group % 4, load(head + kTileRows));
  } else {
    head += group * Traits::kGroupScales;
    scale = load(head);
    if constexpr (Traits::kMin) min = load(head + kTileRows);
  }
  if constexpr (Traits::kMin) return fma(scale, value, min);
  return mul(scale, value);
}

}  // namespace
}  // namespace bessemer::kernels
