// The CPU backend's KV memory. Per layer one piece:
//   [block][head]{ keys [key_width][block_tokens], values [block_tokens][value_width] }
// and behind keys and values of int8 each their scales, [block_tokens] of f32.
// With positions as neighbours a register of keys gives 16 scores without a shuffle. Keys and
// values that are read together lie together: 4 KiB of one page at 64 wide in f16.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/status.h"
#include "kernels/cpu/kernels.h"
#include "worker/backend/host/memory.h"
#include "worker/backend/kv.h"

namespace bessemer::cpu {

class PagedKv final : public KvPool {
 public:
  struct Layer {
    KvLayer shape;
    std::byte* memory = nullptr;  // of the layer itself, or of the one it shares
    size_t key_bytes = 0;         // of one head in one block
    size_t head_bytes = 0;        // of its keys and values
    size_t block_bytes = 0;       // of all heads
  };

  // Refuses block_tokens that are no multiple of 16 and values wider than the kernels' scratch.
  static StatusOr<KvPoolPtr> make(const KvLayout& layout);

  size_t size_bytes() const override { return size_bytes_; }
  int32_t block_tokens() const { return layout_.block_tokens; }
  kernels::KvType type() const { return type_; }
  const Layer& layer(int32_t index) const { return layers_[static_cast<size_t>(index)]; }
  int32_t blocks(int32_t group) const { return layout_.group_blocks[static_cast<size_t>(group)]; }
  void move(const KvMove& move);

  // What `head` has at `slot` = block * block_tokens + offset: key dimensions are block_tokens()
  // elements apart, value columns are neighbours. `slot` must lie in the layer's group; slot 0
  // stands for the pool's begin even where it has no block.
  kernels::KvRow key_row(int32_t layer, int32_t slot, int32_t head) const;
  kernels::KvRow value_row(int32_t layer, int32_t slot, int32_t head) const;

 private:
  Status allocate(Layer& layer);
  std::byte* head_at(int32_t layer, int32_t slot, int32_t head) const;
  float* scale_at(std::byte* rows, int32_t width, int32_t offset) const;

  KvLayout layout_;
  kernels::KvType type_ = kernels::KvType::f16;
  size_t size_bytes_ = 0;
  std::vector<Layer> layers_;
  std::vector<host::Array<std::byte>> memory_;
};

}  // namespace bessemer::cpu
