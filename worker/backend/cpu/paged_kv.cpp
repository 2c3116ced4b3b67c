#include "worker/backend/cpu/paged_kv.h"

#include <cstring>
#include <memory>
#include <string>

#include "common/check.h"

namespace bessemer::cpu {
namespace {

kernels::KvType kv_type(DType dtype) {
  return dtype == DType::f32   ? kernels::KvType::f32
         : dtype == DType::f16 ? kernels::KvType::f16
         : dtype == DType::i8  ? kernels::KvType::i8
                               : kernels::KvType::bf16;
}

Status check_limits(const KvLayout& layout) {
  if (layout.block_tokens % kernels::kKvLanes != 0) {
    return absl::InvalidArgumentError(
        "KV layout: the cpu backend needs block_tokens to be a multiple of " +
        std::to_string(kernels::kKvLanes) + ", not " + std::to_string(layout.block_tokens));
  }
  for (const KvLayer& layer : layout.layers) {
    if (layer.value_width > kernels::kMaxValueWidth) {
      return absl::InvalidArgumentError("KV layout: the cpu backend takes values up to " +
                                        std::to_string(kernels::kMaxValueWidth) + " wide, not " +
                                        std::to_string(layer.value_width));
    }
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<KvPoolPtr> PagedKv::make(const KvLayout& layout) {
  RETURN_IF_ERROR(host::check_kv_layout(layout));
  RETURN_IF_ERROR(check_limits(layout));
  auto pool = std::make_unique<PagedKv>();
  pool->layout_ = layout;
  pool->type_ = kv_type(layout.dtype);
  const auto tokens = static_cast<size_t>(layout.block_tokens);
  for (const KvLayer& shape : layout.layers) {
    Layer& layer = pool->layers_.emplace_back(Layer{.shape = shape});
    layer.key_bytes = tokens * kv_row_bytes(layout.dtype, shape.key_width);
    layer.head_bytes = layer.key_bytes + tokens * kv_row_bytes(layout.dtype, shape.value_width);
    layer.block_bytes = layer.head_bytes * static_cast<size_t>(shape.heads);
    if (shape.shares < 0) RETURN_IF_ERROR(pool->allocate(layer));
  }
  for (Layer& layer : pool->layers_) {
    if (layer.shape.shares >= 0) layer.memory = pool->layer(layer.shape.shares).memory;
  }
  return KvPoolPtr(std::move(pool));
}

Status PagedKv::allocate(Layer& layer) {
  const size_t bytes = static_cast<size_t>(blocks(layer.shape.group)) * layer.block_bytes;
  host::Array<std::byte> memory = host::allocate_array<std::byte>(bytes);
  if (!memory) {
    return absl::ResourceExhaustedError("cannot allocate " + std::to_string(bytes) +
                                        " bytes of KV for one layer; ask for fewer blocks");
  }
  size_bytes_ += bytes;
  layer.memory = memory.get();
  memory_.push_back(std::move(memory));
  return absl::OkStatus();
}

std::byte* PagedKv::head_at(int32_t layer, int32_t slot, int32_t head) const {
  const Layer& memory = this->layer(layer);
  const int32_t block = slot / block_tokens();
  CHECK(slot == 0 || block < blocks(memory.shape.group));
  return memory.memory + static_cast<size_t>(block) * memory.block_bytes +
         static_cast<size_t>(head) * memory.head_bytes;
}

// Behind a block's rows of one head.
float* PagedKv::scale_at(std::byte* rows, int32_t width, int32_t offset) const {
  if (type_ != kernels::KvType::i8) return nullptr;
  return reinterpret_cast<float*>(rows + ptrdiff_t{width} * block_tokens()) + offset;
}

kernels::KvRow PagedKv::key_row(int32_t layer, int32_t slot, int32_t head) const {
  std::byte* keys = head_at(layer, slot, head);
  const int32_t offset = slot % block_tokens();
  return {.values = keys + static_cast<size_t>(offset) * dtype_bytes(layout_.dtype),
          .stride = block_tokens(),
          .scale = scale_at(keys, this->layer(layer).shape.key_width, offset)};
}

kernels::KvRow PagedKv::value_row(int32_t layer, int32_t slot, int32_t head) const {
  const Layer& memory = this->layer(layer);
  std::byte* values = head_at(layer, slot, head) + memory.key_bytes;
  const int32_t offset = slot % block_tokens(), width = memory.shape.value_width;
  return {.values = values + static_cast<size_t>(offset * width) * dtype_bytes(layout_.dtype),
          .stride = 1,
          .scale = scale_at(values, width, offset)};
}

void PagedKv::move(const KvMove& move) {
  CHECK(move.from >= 0 && move.from < blocks(move.group));
  CHECK(move.to >= 0 && move.to < blocks(move.group));
  for (const Layer& layer : layers_) {
    if (layer.shape.group != move.group || layer.shape.shares >= 0) continue;
    std::memmove(layer.memory + static_cast<size_t>(move.to) * layer.block_bytes,
                 layer.memory + static_cast<size_t>(move.from) * layer.block_bytes,
                 layer.block_bytes);
  }
}

}  // namespace bessemer::cpu
