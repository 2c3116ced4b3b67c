// How the values of a tensor lie in a file; the numbers are GGUF's (ggml_type).
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace bessemer {

enum class TensorType : uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  bf16 = 30,
};

struct TensorTypeTraits {
  TensorType type;
  std::string_view name;  // "Q4_1", as the field writes it
  int32_t block_values;   // values in one block; a row is a multiple of it
  int32_t block_bytes;
};

// nullopt: a number that is no TensorType above.
std::optional<TensorTypeTraits> tensor_type_traits(uint32_t ggml_type);
// `type` must be one of the enumerators.
const TensorTypeTraits& traits_of(TensorType type);
// Bytes of one row of `values` values; values % block_values == 0.
size_t row_bytes(TensorType type, int64_t values);

}  // namespace bessemer
