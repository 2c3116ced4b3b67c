// Random weights in every format a file may hold.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "common/random.h"
#include "worker/backend/weight.h"

namespace bessemer {

inline constexpr TensorType kAllTypes[] = {
    TensorType::f32,  TensorType::f16,  TensorType::bf16, TensorType::q4_0, TensorType::q4_1,
    TensorType::q5_0, TensorType::q5_1, TensorType::q8_0, TensorType::q2_k, TensorType::q3_k,
    TensorType::q4_k, TensorType::q5_k, TensorType::q6_k};

// Owns the bytes that a WeightPart views.
struct RawWeight {
  TensorType type;
  int32_t rows, cols;
  std::vector<std::byte> bytes;
  std::vector<float> bias;

  WeightPart part() const {
    return {.name = std::string(traits_of(type).name),
            .type = type,
            .bytes = bytes,
            .rows = rows,
            .cols = cols,
            .bias = bias};
  }
  // rows x cols, as dequantize() gives them.
  std::vector<float> values() const;
};

// Every quant and every scale is drawn; values come out at about +-0.1.
RawWeight random_weight(Random& random, TensorType type, int32_t rows, int32_t cols,
                        bool bias = false);
// f32 from given values.
RawWeight exact_weight(const std::vector<float>& values, int32_t rows, int32_t cols);
bool is_float_type(TensorType type);

}  // namespace bessemer
