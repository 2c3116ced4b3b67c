// One row's block in a quantised tile: its bits where kernels/cpu/layout.h says they lie.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/layout.h"
#include "worker/backend/cpu/unpack.h"
#include "worker/format/dequantize.h"

namespace bessemer::cpu {

// The four quants of each step.
using StepWords = std::array<uint32_t, kernels::kSteps>;

// Where a row's block lies: `lane` is the row in its tile.
template <typename Traits>
struct BlockPlace {
  std::byte *head, *small, *quants;  // of the unit, of the unit, of the block
  size_t lane, first_group;          // first_group: in the unit

  BlockPlace(std::byte* tile, int32_t block, size_t row)
      : head(tile + kernels::unit_at<Traits>(block)),
        small(head + Traits::kHeadBytes),
        quants(tile + kernels::quants_at<Traits>(block)),
        lane(row),
        first_group(static_cast<size_t>(block % Traits::kUnit * Traits::kGroups)) {}

  // f16, or in the K formats small integers, of group `g` of the block.
  std::byte* half(size_t g) const {
    const size_t group = Traits::kSuper ? 0 : first_group + g;
    return head + group * Traits::kHeadBytes + 2 * lane;
  }
  std::byte* min_half(size_t g) const { return half(g) + sizeof(uint16_t) * kernels::kTileRows; }
  std::byte* small_scale(size_t g) const {
    return small + (first_group + g) * kernels::kTileRows + lane;
  }
  // Bits 4 and 5 of ScaleForm::six_bits, and how far they are shifted.
  std::byte* high_bits(size_t g) const {
    const size_t lines = Traits::kUnitGroups + (first_group + g) % 4;
    return small + lines * kernels::kTileRows + lane;
  }
  size_t high_shift(size_t g) const { return (first_group + g) / 4 * 4; }
};

// A plane of kWidth bits of each quant, from bit kFrom on.
template <size_t kWidth>
constexpr uint32_t kPlaneMask = 0x01010101u * ((1u << kWidth) - 1);

template <size_t kWidth, size_t kFrom>
void put_plane(std::byte* lines, size_t lane, const StepWords& words) {
  for (size_t line = 0; line < kWidth; ++line) {
    uint32_t word = 0;
    for (size_t step = line; step < words.size(); step += kWidth) {
      word |= (words[step] >> kFrom & kPlaneMask<kWidth>) << (step - line);
    }
    std::memcpy(lines + line * kernels::kStepBytes + 4 * lane, &word, sizeof word);
  }
}

template <size_t kWidth, size_t kFrom>
void get_plane(const std::byte* lines, size_t lane, StepWords& words) {
  for (size_t step = 0; step < words.size(); ++step) {
    uint32_t word;
    std::memcpy(&word, lines + step % kWidth * kernels::kStepBytes + 4 * lane, sizeof word);
    words[step] |= (word >> (step - step % kWidth) & kPlaneMask<kWidth>) << kFrom;
  }
}

// function.template operator()<width, first bit>(lines) for each plane of a format.
template <typename Traits, typename Function>
void for_planes(std::byte* quants, const Function& function) {
  constexpr size_t kBits = Traits::kBits, kLow = kBits & 12, kTop = kBits & 14;
  if constexpr ((kBits & 8) != 0) function.template operator()<8, 0>(quants);
  if constexpr ((kBits & 4) != 0) function.template operator()<4, 0>(quants);
  if constexpr ((kBits & 2) != 0) {
    function.template operator()<2, kLow>(quants + kLow * kernels::kStepBytes);
  }
  if constexpr ((kBits & 1) != 0) {
    function.template operator()<1, kTop>(quants + kTop * kernels::kStepBytes);
  }
}

template <typename Traits>
void put_scales(const BlockPlace<Traits>& place, const WeightBlock& block) {
  using kernels::ScaleForm;
  for (size_t g = 0; g < Traits::kGroups; ++g) {
    std::memcpy(place.half(g), &block.d, sizeof block.d);
    if constexpr (Traits::kMin) std::memcpy(place.min_half(g), &block.min, sizeof block.min);
    if constexpr (!Traits::kSuper) continue;
    const std::byte s{block.scales[g]}, m{block.mins[g]}, low{0xf};
    if constexpr (Traits::kScaleForm == ScaleForm::bytes) *place.small_scale(g) = s;
    if constexpr (Traits::kScaleForm == ScaleForm::nibbles) *place.small_scale(g) = s | m << 4;
    if constexpr (Traits::kScaleForm == ScaleForm::six_bits) {
      *place.small_scale(g) = (s & low) | m << 4;
      *place.high_bits(g) |= (s >> 4 | m >> 4 << 2) << place.high_shift(g);
    }
  }
}

struct ScaleAndMin {
  float scale, min;
};

template <typename Traits>
ScaleAndMin get_scale(const BlockPlace<Traits>& place, size_t g) {
  using kernels::ScaleForm;
  const auto load = [](const std::byte* at) {
    return load_half(reinterpret_cast<const uint8_t*>(at));
  };
  const float d = load(place.half(g)), min = Traits::kMin ? load(place.min_half(g)) : 0.0f;
  if constexpr (!Traits::kSuper) return {d, min};
  const auto small = std::to_integer<int>(*place.small_scale(g));
  int s = static_cast<int8_t>(small), m = 0;
  if constexpr (Traits::kScaleForm != ScaleForm::bytes) s = small & 0xf, m = small >> 4;
  if constexpr (Traits::kScaleForm == ScaleForm::six_bits) {
    const auto high = std::to_integer<int>(*place.high_bits(g)) >> place.high_shift(g);
    s |= (high & 3) << 4, m |= (high >> 2 & 3) << 4;
  }
  return {d * static_cast<float>(s), min * static_cast<float>(m)};
}

// Into a tile that was zero.
template <typename Traits>
void put_block(std::byte* tile, int32_t index, size_t lane, const WeightBlock& block) {
  const BlockPlace<Traits> place(tile, index, lane);
  put_scales(place, block);
  StepWords words;
  static_assert(sizeof words == sizeof block.quants);
  std::memcpy(words.data(), block.quants.data(), sizeof words);
  for_planes<Traits>(place.quants, [&]<size_t kWidth, size_t kFrom>(std::byte* lines) {
    put_plane<kWidth, kFrom>(lines, lane, words);
  });
}

// The values of a row's block, bit for bit what dequantize() gives.
template <typename Traits>
void get_block(const std::byte* tile, int32_t index, size_t lane, float* out) {
  const BlockPlace<Traits> place(const_cast<std::byte*>(tile), index, lane);  // only read here
  StepWords words = {};
  for_planes<Traits>(place.quants, [&]<size_t kWidth, size_t kFrom>(const std::byte* lines) {
    get_plane<kWidth, kFrom>(lines, lane, words);
  });
  std::array<uint8_t, kernels::kBlock> quants;
  std::memcpy(quants.data(), words.data(), sizeof quants);
  for (size_t g = 0; g < Traits::kGroups; ++g) {
    const ScaleAndMin scale = get_scale(place, g);
    constexpr size_t kEach = kernels::kBlock / Traits::kGroups;
    for (size_t k = g * kEach; k < (g + 1) * kEach; ++k) {
      const int quant = Traits::kBits == 8 ? static_cast<int8_t>(quants[k]) : quants[k];
      out[k] = scale.scale * static_cast<float>(quant - Traits::kOffset);
      if constexpr (Traits::kMin) out[k] = out[k] + scale.min;
    }
  }
}

}  // namespace bessemer::cpu
