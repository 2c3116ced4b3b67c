#include "worker/backend/kv.h"

namespace bessemer {

std::optional<DType> kv_dtype_of(std::string_view name) {
  if (name == "f32") return DType::f32;
  if (name == "f16") return DType::f16;
  if (name == "bf16") return DType::bf16;
  if (name == "int8") return DType::i8;
  return std::nullopt;
}

uint64_t kv_block_bytes(const KvLayout& layout, int32_t group) {
  uint64_t token_bytes = 0;
  for (const KvLayer& layer : layout.layers) {
    if (layer.group != group || layer.shares >= 0) continue;
    token_bytes +=
        static_cast<uint64_t>(layer.heads) * (kv_row_bytes(layout.dtype, layer.key_width) +
                                              kv_row_bytes(layout.dtype, layer.value_width));
  }
  return token_bytes * static_cast<uint64_t>(layout.block_tokens);
}

}  // namespace bessemer
