// Paged KV memory. A layer names its group, heads and widths, or the layer whose KV it shares.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
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
  DType dtype = DType::f16;  // f32, f16, bf16, i8
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

// Rows of keys and values (a token's, of one head) as int8: q = rint(x * (127 / a)) to nearest even,
// scale = a / 127 in f32, a: the row's largest magnitude; what is read is q * scale. Below 2^-100
// everything is 0; a row with a value that is not finite has q = 0 and the scale NaN.
constexpr float kSmallestKvRow = 0x1p-100f;
constexpr size_t kv_row_bytes(DType dtype, int32_t width) {
  return dtype_bytes(dtype) * static_cast<size_t>(width) + (dtype == DType::i8 ? sizeof(float) : 0);
}

// The names that settings use: f32, f16, bf16, int8.
std::optional<DType> kv_dtype_of(std::string_view name);

// Bytes of one block of `group`, over its layers, keys and values.
uint64_t kv_block_bytes(const KvLayout& layout, int32_t group);

// Copies block `from` to block `to` of one group, all layers.
struct KvMove {
  int32_t group = 0, from = 0, to = 0;
};

}  // namespace bessemer
