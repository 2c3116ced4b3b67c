#include "common/tensor_type.h"

#include <array>

#include "common/check.h"

namespace bessemer {
namespace {

// Block sizes of the GGUF specification; K formats are 256 values a block.
constexpr std::array<TensorTypeTraits, 13> kTraits = {{
    {TensorType::f32, "F32", 1, 4},
    {TensorType::f16, "F16", 1, 2},
    {TensorType::bf16, "BF16", 1, 2},
    {TensorType::q4_0, "Q4_0", 32, 2 + 16},
    {TensorType::q4_1, "Q4_1", 32, 2 + 2 + 16},
    {TensorType::q5_0, "Q5_0", 32, 2 + 4 + 16},
    {TensorType::q5_1, "Q5_1", 32, 2 + 2 + 4 + 16},
    {TensorType::q8_0, "Q8_0", 32, 2 + 32},
    {TensorType::q2_k, "Q2_K", 256, 16 + 64 + 2 + 2},
    {TensorType::q3_k, "Q3_K", 256, 32 + 64 + 12 + 2},
    {TensorType::q4_k, "Q4_K", 256, 2 + 2 + 12 + 128},
    {TensorType::q5_k, "Q5_K", 256, 2 + 2 + 12 + 32 + 128},
    {TensorType::q6_k, "Q6_K", 256, 128 + 64 + 16 + 2},
}};

}  // namespace

std::optional<TensorTypeTraits> tensor_type_traits(uint32_t ggml_type) {
  for (const TensorTypeTraits& traits : kTraits) {
    if (static_cast<uint32_t>(traits.type) == ggml_type) return traits;
  }
  return std::nullopt;
}

const TensorTypeTraits& traits_of(TensorType type) {
  for (const TensorTypeTraits& traits : kTraits) {
    if (traits.type == type) return traits;
  }
  check_failed("traits_of: a TensorType outside its enumerators", __FILE__, __LINE__);
}

size_t row_bytes(TensorType type, int64_t values) {
  const TensorTypeTraits& traits = traits_of(type);
  CHECK(values % traits.block_values == 0);
  return static_cast<size_t>(values / traits.block_values) *
         static_cast<size_t>(traits.block_bytes);
}

}  // namespace bessemer
