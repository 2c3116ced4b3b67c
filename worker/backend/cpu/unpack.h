// One block of 32 weights as its file holds it -> quants, scales and minima, nothing rounded: what
// packing needs and what dequantisation multiplies out.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "common/tensor_type.h"
#include "kernels/cpu/layout.h"

namespace bessemer::cpu {

// value[i] = scale[i / 16] * quant[i] + min[i / 16]
struct WeightBlock {
  // 4-bit tile formats: 16 bytes, value i in the low half of byte i, value i + 16 in its high half.
  // 8-bit ones: 32 int8.
  std::array<uint8_t, kernels::kBlock> quants;
  std::array<float, 2> scales, mins;  // equal twice when the format has one for the whole block
};

// The tile format that holds `type` without rounding.
kernels::TileFormat tile_format(TensorType type);

// Block `index` (of 32 values) of a row; `type` must be quantised.
WeightBlock unpack_block(TensorType type, const std::byte* row, int32_t index);

}  // namespace bessemer::cpu
