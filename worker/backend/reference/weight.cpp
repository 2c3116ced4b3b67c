#include "worker/backend/reference/weight.h"

#include <algorithm>
#include <cmath>
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
    const size_t rows = tokens * static_cast<size_t>(layer.heads);
    pool->layers_.push_back(
        {pool->make_rows(rows, layer.key_width), pool->make_rows(rows, layer.value_width)});
  }
  return KvPoolPtr(std::move(pool));
}

ReferenceKv::Rows ReferenceKv::make_rows(size_t rows, int32_t width) const {
  Rows made;
  made.values.resize(rows * static_cast<size_t>(width) * dtype_bytes(layout_.dtype));
  if (layout_.dtype == DType::i8) made.scales.resize(rows);
  return made;
}

size_t ReferenceKv::size_bytes() const {
  const auto bytes = [](const Rows& rows) {
    return rows.values.size() + rows.scales.size() * sizeof(float);
  };
  size_t total = 0;
  for (const Layer& layer : layers_) total += bytes(layer.keys) + bytes(layer.values);
  return total;
}

namespace {

// Copies one of `blocks` equal parts of `memory` over another.
template <typename T>
void copy_block(std::vector<T>& memory, size_t blocks, const KvMove& move) {
  const size_t block = memory.size() / blocks;
  const auto at = [&](int32_t index) {
    return memory.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(index) * block);
  };
  if (move.from != move.to) {
    std::copy_n(at(move.from), static_cast<ptrdiff_t>(block), at(move.to));
  }
}

}  // namespace

void ReferenceKv::move(const KvMove& move) {
  for (size_t i = 0; i < layers_.size(); ++i) {
    const KvLayer& layer = layout_.layers[i];
    if (layer.group != move.group || layer.shares >= 0) continue;
    const auto blocks = static_cast<size_t>(layout_.group_blocks[static_cast<size_t>(move.group)]);
    CHECK(move.from >= 0 && static_cast<size_t>(move.from) < blocks);
    CHECK(move.to >= 0 && static_cast<size_t>(move.to) < blocks);
    for (Rows* rows : {&layers_[i].keys, &layers_[i].values}) {
      copy_block(rows->values, blocks, move);
      copy_block(rows->scales, blocks, move);
    }
  }
}

void ReferenceKv::store(int32_t layer, int32_t slot, const float* k, const float* v) {
  const KvLayer& dims = shape(layer);
  CHECK(dims.shares < 0);
  const auto keys = static_cast<size_t>(dims.key_width);
  const auto values = static_cast<size_t>(dims.value_width);
  const auto heads = static_cast<size_t>(dims.heads);
  Layer& memory = layers_[static_cast<size_t>(layer)];
  for (size_t head = 0; head < heads; ++head) {
    const size_t row = static_cast<size_t>(slot) * heads + head;
    write(memory.keys, row, {k + head * keys, keys});
    write(memory.values, row, {v + head * values, values});
  }
}

float ReferenceKv::key(int32_t layer, int32_t slot, int32_t head, int32_t dim) const {
  const KvLayer& dims = shape(layer);
  const int64_t row = static_cast<int64_t>(slot) * dims.heads + head;
  return read(layers_[static_cast<size_t>(owner(layer))].keys, static_cast<size_t>(row),
              static_cast<size_t>(dims.key_width), static_cast<size_t>(dim));
}

float ReferenceKv::value(int32_t layer, int32_t slot, int32_t head, int32_t dim) const {
  const KvLayer& dims = shape(layer);
  const int64_t row = static_cast<int64_t>(slot) * dims.heads + head;
  return read(layers_[static_cast<size_t>(owner(layer))].values, static_cast<size_t>(row),
              static_cast<size_t>(dims.value_width), static_cast<size_t>(dim));
}

void ReferenceKv::write(Rows& rows, size_t row, std::span<const float> values) const {
  if (layout_.dtype == DType::i8) return write_int8(rows, row, values);
  const size_t width = dtype_bytes(layout_.dtype);
  CHECK((row + 1) * values.size() * width <= rows.values.size());
  std::byte* at = rows.values.data() + row * values.size() * width;
  for (const float value : values) {
    if (layout_.dtype == DType::f32) {
      std::memcpy(at, &value, sizeof value);
    } else {
      const uint16_t bits =
          layout_.dtype == DType::f16 ? float_to_half(value) : float_to_bfloat(value);
      std::memcpy(at, &bits, sizeof bits);
    }
    at += width;
  }
}

void ReferenceKv::write_int8(Rows& rows, size_t row, std::span<const float> values) const {
  CHECK(row < rows.scales.size());
  float largest = 0.0f;
  bool finite = true;
  for (const float value : values) {
    finite = finite && std::isfinite(value);
    largest = std::max(largest, std::abs(value));
  }
  const bool zero = !finite || largest < kSmallestKvRow;
  const float inverse = 127.0f / largest;
  rows.scales[row] = !finite ? NAN : zero ? 0.0f : largest / 127.0f;
  for (size_t i = 0; i < values.size(); ++i) {
    const float q = zero ? 0.0f : std::nearbyint(values[i] * inverse);
    rows.values[row * values.size() + i] = static_cast<std::byte>(static_cast<int8_t>(q));
  }
}

float ReferenceKv::read(const Rows& rows, size_t row, size_t width, size_t index) const {
  const size_t bytes = dtype_bytes(layout_.dtype);
  CHECK((row * width + index + 1) * bytes <= rows.values.size());
  const std::byte* at = rows.values.data() + (row * width + index) * bytes;
  if (layout_.dtype == DType::i8) {
    return static_cast<float>(static_cast<int8_t>(*at)) * rows.scales[row];
  }
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
