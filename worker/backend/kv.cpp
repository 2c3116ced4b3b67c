#include "worker/backend/kv.h"

namespace bessemer {

uint64_t kv_block_bytes(const KvLayout& layout, int32_t group) {
  uint64_t values = 0;
  for (const KvLayer& layer : layout.layers) {
    if (layer.group != group || layer.shares >= 0) continue;
    values += static_cast<uint64_t>(layer.heads) *
              static_cast<uint64_t>(layer.key_width + layer.value_width);
  }
  return values * static_cast<uint64_t>(layout.block_tokens) * dtype_bytes(layout.dtype);
}

}  // namespace bessemer
