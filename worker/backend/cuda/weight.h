// Weights, KV and RoPE tables in device memory.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "kernels/cuda/products.h"
#include "worker/backend/cuda/device.h"
#include "worker/backend/weight.h"

namespace bessemer::cuda {

// Widest matrix: what the workspace of split activations has room for.
constexpr int32_t kMaxColumns = 131072;

class CudaWeight final : public Weight {
 public:
  // A part of the stack: outputs [first_row, first_row + rows).
  struct Segment {
    int32_t first_row = 0, rows = 0;
    std::variant<Tiles, FloatWeight> matrix;
    const float* bias = nullptr;  // rows values in device memory, or null
  };

  // Uploads the parts and lays them out on the device; done when it returns.
  static StatusOr<WeightPtr> pack(std::span<const WeightPart> parts, const Stream& stream);

  int32_t out_features() const override { return out_; }
  int32_t in_features() const override { return in_; }
  size_t size_bytes() const override { return size_bytes_; }

  std::span<const Segment> segments() const { return segments_; }
  // The values of a weight of one row; null where it has more.
  const float* vector() const;

 private:
  Status add_tiles(const WeightPart& part, const Stream& stream, Segment& segment);
  Status add_floats(const WeightPart& part, const Stream& stream, Segment& segment);
  Status add_vector(const WeightPart& part, const Stream& stream, Segment& segment);
  StatusOr<void*> take(size_t bytes, const std::string& name);

  int32_t out_ = 0, in_ = 0;
  size_t size_bytes_ = 0;
  std::vector<Memory> memory_;
  std::vector<Segment> segments_;
};

class CudaRopeTable final : public RopeTable {
 public:
  // InvalidArgument: no frequency or position.
  static StatusOr<RopeTablePtr> make(std::span<const double> inverse_frequencies,
                                     int32_t max_positions, float attention_factor,
                                     const Stream& stream);
  int32_t pairs() const { return pairs_; }
  const float* cosines() const { return cosines_.as<float>(); }  // [positions][pairs]
  const float* sines() const { return sines_.as<float>(); }

 private:
  int32_t pairs_ = 0;
  Memory cosines_, sines_;
};

}  // namespace bessemer::cuda
