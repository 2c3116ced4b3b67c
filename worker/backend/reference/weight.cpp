#include "worker/backend/reference/weight.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "common/check.h"
#include "worker/format/dequantize.h"

namespace bessemer::reference {

StatusOr<WeightPtr> ReferenceWeight::pack(std::span<const WeightPart> parts) {
  ASSIGN_OR_RETURN(const int32_t rows, host::check_parts(parts));
  auto weight = std::make_unique<ReferenceWeight>();
  weight->out_ = rows;
  weight->in_ = parts.front().cols;
  weight->values_.resize(static_cast<size_t>(rows) * static_cast<size_t>(weight->in_));
  if (std::ranges::any_of(parts, [](const WeightPart& part) { return !part.bias.empty(); })) {
    weight->bias_.resize(static_cast<size_t>(rows));
  }
  int32_t first_row = 0;
  for (const WeightPart& part : parts) {
    weight->place(part, first_row);
    first_row += part.rows;
  }
  return WeightPtr(std::move(weight));
}

void ReferenceWeight::place(const WeightPart& part, int32_t first_row) {
  const size_t stride = row_bytes(part.type, part.cols);
  std::vector<float> row(static_cast<size_t>(part.cols));
  for (int32_t r = 0; r < part.rows; ++r) {
    dequantize(part.type, part.bytes.subspan(static_cast<size_t>(r) * stride, stride), row);
    const auto out = static_cast<size_t>(first_row + r);
    for (size_t in = 0; in < row.size(); ++in) {
      values_[in * static_cast<size_t>(out_) + out] = row[in];
    }
  }
  std::ranges::copy(part.bias, bias_.begin() + (part.bias.empty() ? 0 : first_row));
}

StatusOr<KvPoolPtr> ReferenceKv::make(const KvLayout& layout) {
  RETURN_IF_ERROR(host::check_kv_layout(layout));
  auto pool = std::make_unique<ReferenceKv>();
  pool->layout_ = layout;
  for (const KvLayer& layer : layout.layers) {
    const auto blocks = static_cast<size_t>(layout.group_blocks[static_cast<size_t>(layer.group)]);
    const size_t tokens = layer.shares >= 0 ? 0 : blocks * static_cast<size_t>(layout.block_tokens);
    const size_t head_bytes = static_cast<size_t>(layer.heads) * dtype_bytes(layout.dtype);
    Layer& memory = pool->layers_.emplace_back();
    memory.keys.resize(tokens * head_bytes * static_cast<size_t>(layer.key_width));
    memory.values.resize(tokens * head_bytes * static_cast<size_t>(layer.value_width));
  }
  return KvPoolPtr(std::move(pool));
}

size_t ReferenceKv::size_bytes() const {
  size_t bytes = 0;
  for (const Layer& layer : layers_) bytes += layer.keys.size() + layer.values.size();
  return bytes;
}

void ReferenceKv::move(const KvMove& move) {
  for (size_t i = 0; i < layers_.size(); ++i) {
    const KvLayer& layer = layout_.layers[i];
    if (layer.group != move.group || layer.shares >= 0) continue;
    const auto blocks = static_cast<size_t>(layout_.group_blocks[static_cast<size_t>(move.group)]);
    CHECK(move.from >= 0 && static_cast<size_t>(move.from) < blocks);
    CHECK(move.to >= 0 && static_cast<size_t>(move.to) < blocks);
    for (std::vector<std::byte>* memory : {&layers_[i].keys, &layers_[i].values}) {
      const size_t block = memory->size() / blocks;
      std::memmove(memory->data() + static_cast<size_t>(move.to) * block,
                   memory->data() + static_cast<size_t>(move.from) * block, block);
    }
  }
}

void ReferenceKv::store(int32_t layer, int32_t slot, const float* k, const float* v) {
  const KvLayer& dims = shape(layer);
  CHECK(dims.shares < 0);
  const auto keys = static_cast<size_t>(dims.heads * dims.key_width);
  const auto values = static_cast<size_t>(dims.heads * dims.value_width);
  Layer& memory = layers_[static_cast<size_t>(layer)];
  write(memory.keys, static_cast<size_t>(slot) * keys, {k, keys});
  write(memory.values, static_cast<size_t>(slot) * values, {v, values});
}

float ReferenceKv::key(int32_t layer, int32_t slot, int32_t head, int32_t dim) const {
  const KvLayer& dims = shape(layer);
  const int64_t index = (static_cast<int64_t>(slot) * dims.heads + head) * dims.key_width + dim;
  return read(layers_[static_cast<size_t>(owner(layer))].keys, static_cast<size_t>(index));
}

float ReferenceKv::value(int32_t layer, int32_t slot, int32_t head, int32_t dim) const {
  const KvLayer& dims = shape(layer);
  const int64_t index = (static_cast<int64_t>(slot) * dims.heads + head) * dims.value_width + dim;
  return read(layers_[static_cast<size_t>(owner(layer))].values, static_cast<size_t>(index));
}

void ReferenceKv::write(std::vector<std::byte>& memory, size_t first,
                        std::span<const float> row) const {
  const size_t width = dtype_bytes(layout_.dtype);
  CHECK((first + row.size()) * width <= memory.size());
  for (size_t i = 0; i < row.size(); ++i) {
    std::byte* at = memory.data() + (first + i) * width;
    if (layout_.dtype == DType::f32) {
      std::memcpy(at, &row[i], sizeof(float));
    } else {
      const uint16_t bits =
          layout_.dtype == DType::f16 ? float_to_half(row[i]) : float_to_bfloat(row[i]);
      std::memcpy(at, &bits, sizeof bits);
    }
  }
}

float ReferenceKv::read(const std::vector<std::byte>& memory, size_t index) const {
  const size_t width = dtype_bytes(layout_.dtype);
  CHECK((index + 1) * width <= memory.size());
  const std::byte* at = memory.data() + index * width;
  if (layout_.dtype == DType::f32) {
    float value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return layout_.dtype == DType::f16 ? half_to_float(bits) : bfloat_to_float(bits);
}

}  // namespace bessemer::reference
