// Paged KV memory. A layer names its group, heads and widths, or the layer whose KV it shares.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "worker/backend/mat.h"

namespace bessemer {

struct KvLayer {
  int32_t group = 0;
  int32_t heads = 0, key_width = 0, value_width = 0;  // widths per head
  int32_t shares = -1;                                // layer whose KV this one reads; -1: its own
};
struct KvLayout {
  int32_t block_tokens = 16;
  DType dtype = DType::f16;  // f32, f16, bf16; i8 later
  std::vector<KvLayer> layers;
  std::vector<int32_t> group_blocks;  // blocks of each group
};

// Resource: the pools of all groups.
class KvPool {
 public:
  virtual ~KvPool() = default;
  virtual size_t size_bytes() const = 0;
};
using KvPoolPtr = std::unique_ptr<KvPool>;

// Bytes of one block of `group`, over its layers, keys and values.
uint64_t kv_block_bytes(const KvLayout& layout, int32_t group);

// Copies block `from` to block `to` of one group, all layers.
struct KvMove {
  int32_t group = 0, from = 0, to = 0;
};

}  // namespace bessemer
