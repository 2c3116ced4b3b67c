// Quantised blocks -> float, bit for bit what the public reference (Python package gguf) gives.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "common/tensor_type.h"

namespace bessemer {

float half_to_float(uint16_t bits);
uint16_t float_to_half(float value);  // round to nearest even
float bfloat_to_float(uint16_t bits);
uint16_t float_to_bfloat(float value);  // round to nearest even; NaN stays NaN

// Fields of a block, unaligned, little-endian.
inline float load_half(const uint8_t* bytes) {
  uint16_t bits;
  std::memcpy(&bits, bytes, sizeof bits);
  return half_to_float(bits);
}
inline uint32_t load_u32(const uint8_t* bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// `bytes`: whole blocks of `type`, row_bytes(type, out.size()) of them.
void dequantize(TensorType type, std::span<const std::byte> bytes, std::span<float> out);

}  // namespace bessemer
