// Quantised blocks -> float, bit for bit what the public reference (Python package gguf) gives.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/tensor_type.h"

namespace bessemer {

float half_to_float(uint16_t bits);
uint16_t float_to_half(float value);  // round to nearest even
float bfloat_to_float(uint16_t bits);
uint16_t float_to_bfloat(float value);  // round to nearest even; NaN stays NaN

// `bytes`: whole blocks of `type`, row_bytes(type, out.size()) of them.
void dequantize(TensorType type, std::span<const std::byte> bytes, std::span<float> out);

}  // namespace bessemer
