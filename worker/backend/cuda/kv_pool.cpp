#include "worker/backend/cuda/kv_pool.h"

#include "common/check.h"
#include "worker/backend/host/memory.h"

namespace bessemer::cuda {
namespace {

constexpr size_t kAlignment = 256;

KvType type_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return KvType::f32;
    case DType::bf16:
      return KvType::bf16;
    case DType::i8:
      return KvType::i8;
    default:
      return KvType::f16;
  }
}

// Hands out ranges of one allocation; with no memory it only counts.
class Bump {
 public:
  explicit Bump(std::byte* memory) : memory_(memory) {}
  std::byte* take(size_t bytes) {
    std::byte* at = memory_ ? memory_ + used_ : nullptr;
    used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return at;
  }
  size_t used() const { return used_; }

 private:
  std::byte* memory_;
  size_t used_ = 0;
};

// One layer's keys or values, and the planes that a move copies.
KvRows place_rows(Bump& bump, const KvLayout& layout, const KvLayer& layer, int32_t width,
                  std::vector<KvPlane>& planes) {
  const auto blocks = static_cast<size_t>(layout.group_blocks[static_cast<size_t>(layer.group)]);
  const size_t rows = static_cast<size_t>(layer.heads) * static_cast<size_t>(layout.block_tokens);
  const size_t bytes = rows * static_cast<size_t>(width) * dtype_bytes(layout.dtype);
  KvRows placed{.width = width};
  placed.values = bump.take(bytes * blocks);
  planes.push_back({static_cast<uint8_t*>(placed.values), static_cast<int64_t>(bytes)});
  if (layout.dtype == DType::i8) {
    placed.scales = reinterpret_cast<float*>(bump.take(rows * sizeof(float) * blocks));
    planes.push_back(
        {reinterpret_cast<uint8_t*>(placed.scales), static_cast<int64_t>(rows * sizeof(float))});
  }
  return placed;
}

Status check_widths(const KvLayout& layout) {
  for (const KvLayer& layer : layout.layers) {
    if (layer.value_width > kMaxValueWidth) {
      return absl::InvalidArgumentError(
          "KV layout: values of width " + std::to_string(layer.value_width) +
          "; the cuda backend takes up to " + std::to_string(kMaxValueWidth));
    }
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<KvPoolPtr> CudaKvPool::make(const KvLayout& layout, const Stream& stream) {
  RETURN_IF_ERROR(host::check_kv_layout(layout));
  RETURN_IF_ERROR(check_widths(layout));
  auto pool = std::make_unique<CudaKvPool>();
  pool->layout_ = layout;
  for (size_t g = 0; g < layout.group_blocks.size(); ++g) {
    pool->size_bytes_ += kv_block_bytes(layout, static_cast<int32_t>(g)) *
                         static_cast<size_t>(layout.group_blocks[g]);
  }
  RETURN_IF_ERROR(pool->place(stream));
  return KvPoolPtr(std::move(pool));
}

// Twice over the layers: first to count.
Status CudaKvPool::place(const Stream& stream) {
  std::vector<std::vector<KvPlane>> planes;
  for (const bool counting : {true, false}) {
    Bump bump(counting ? nullptr : memory_.as());
    planes.assign(layout_.group_blocks.size(), {});
    views_.clear();
    for (const KvLayer& layer : layout_.layers) {
      KvLayerView& view = views_.emplace_back();
      view.type = type_of(layout_.dtype);
      view.block_tokens = layout_.block_tokens;
      view.heads = layer.heads;
      if (layer.shares >= 0) continue;
      std::vector<KvPlane>& group = planes[static_cast<size_t>(layer.group)];
      view.keys = place_rows(bump, layout_, layer, layer.key_width, group);
      view.values = place_rows(bump, layout_, layer, layer.value_width, group);
    }
    if (counting) {
      ASSIGN_OR_RETURN(memory_, Memory::make(Place::device, bump.used(), "the KV cache"));
    }
  }
  for (size_t i = 0; i < layout_.layers.size(); ++i) {
    if (layout_.layers[i].shares >= 0)
      views_[i] = views_[static_cast<size_t>(layout_.layers[i].shares)];
  }
  RETURN_IF_ERROR(cuda_status(cudaMemsetAsync(memory_.as(), 0, memory_.size_bytes(), stream.get()),
                              "zeroing the KV cache"));
  for (const std::vector<KvPlane>& group : planes) {
    const size_t bytes = group.size() * sizeof(KvPlane);
    ASSIGN_OR_RETURN(Memory memory, Memory::make(Place::device, bytes, "the KV cache's table"));
    RETURN_IF_ERROR(
        stream.copy(memory.as(), group.data(), bytes, "uploading the KV cache's table"));
    groups_.push_back({std::move(memory), static_cast<int32_t>(group.size())});
  }
  return stream.synchronize("zeroing the KV cache");
}

void CudaKvPool::move(const KvMove& move, const Stream& stream) {
  const auto group = static_cast<size_t>(move.group);
  CHECK(group < groups_.size());
  const int32_t blocks = layout_.group_blocks[group];
  CHECK(move.from >= 0 && move.from < blocks && move.to >= 0 && move.to < blocks);
  move_kv(groups_[group].planes.as<KvPlane>(), groups_[group].count, move.from, move.to,
          stream.get());
}

}  // namespace bessemer::cuda
