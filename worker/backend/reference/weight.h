// Weights and KV of the reference backend: plain f32, plain order.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/status.h"
#include "worker/backend/host/memory.h"
#include "worker/backend/kv.h"
#include "worker/backend/weight.h"

namespace bessemer::reference {

// Dequantised, transposed: values[in][out], so that a compiler can work on neighbouring outputs at
// once although each output is one sum in the order of its inputs.
class ReferenceWeight final : public Weight {
 public:
  static StatusOr<WeightPtr> pack(std::span<const WeightPart> parts);

  int32_t out_features() const override { return out_; }
  int32_t in_features() const override { return in_; }
  size_t size_bytes() const override { return (values_.size() + bias_.size()) * sizeof(float); }

  const float* column(int32_t in) const {
    return values_.data() + static_cast<ptrdiff_t>(in) * out_;
  }
  float at(int32_t out, int32_t in) const { return column(in)[out]; }
  float bias(int32_t out) const { return bias_.empty() ? 0.0f : bias_[static_cast<size_t>(out)]; }

 private:
  void place(const WeightPart& part, int32_t first_row);

  int32_t out_ = 0, in_ = 0;
  std::vector<float> values_, bias_;  // bias_ is empty when no part has one
};

// Per layer: keys[block][token][head][key_width], values likewise, in the layout's dtype; of int8
// rows the scales [block][token][head] beside them.
class ReferenceKv final : public KvPool {
 public:
  static StatusOr<KvPoolPtr> make(const KvLayout& layout);

  const KvLayout& layout() const { return layout_; }
  size_t size_bytes() const override;
  void move(const KvMove& move);

  // `slot` = block * block_tokens + offset. Rounds to the dtype, to nearest even (int8: kv.h).
  void store(int32_t layer, int32_t slot, const float* k, const float* v);
  float key(int32_t layer, int32_t slot, int32_t head, int32_t dim) const;
  float value(int32_t layer, int32_t slot, int32_t head, int32_t dim) const;

 private:
  struct Rows {
    std::vector<std::byte> values;  // [slot][head][width]
    std::vector<float> scales;      // [slot][head], of int8
  };
  struct Layer {
    Rows keys, values;
  };
  Rows make_rows(size_t rows, int32_t width) const;
  const KvLayer& shape(int32_t layer) const { return layout_.layers[static_cast<size_t>(layer)]; }
  // The layer whose memory `layer` reads.
  int32_t owner(int32_t layer) const {
    return shape(layer).shares >= 0 ? shape(layer).shares : layer;
  }
  void write(Rows& rows, size_t row, std::span<const float> values) const;
  void write_int8(Rows& rows, size_t row, std::span<const float> values) const;
  float read(const Rows& rows, size_t row, size_t width, size_t index) const;

  KvLayout layout_;
  std::vector<Layer> layers_;
};

}  // namespace bessemer::reference
