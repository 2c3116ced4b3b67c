// Weights are opaque: the backend chose layout and number format when it packed them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/tensor_type.h"

namespace bessemer {

class Weight {
 public:
  virtual ~Weight() = default;
  virtual int32_t out_features() const = 0;  // rows of the matrix
  virtual int32_t in_features() const = 0;   // columns
  virtual size_t size_bytes() const = 0;     // as packed
};
using WeightPtr = std::unique_ptr<const Weight>;

// Raw rows as a file holds them, already sharded by the loader: the backend never learns about
// ranks here. Several parts are stacked by rows, each in a format of its own (in Q4_K_M files q and
// k are Q4_K while v may be Q6_K).
struct WeightPart {
  std::string name;  // for errors
  TensorType type = TensorType::f32;
  // rows x row_bytes(type, cols), row-major; valid during pack() only
  std::span<const std::byte> bytes;
  int32_t rows = 0, cols = 0;
  std::span<const float> bias;  // one per row, or empty
};

// cos and sin for every position and rotated pair, from inverse frequencies computed in double.
class RopeTable {
 public:
  virtual ~RopeTable() = default;
};
using RopeTablePtr = std::unique_ptr<const RopeTable>;

}  // namespace bessemer
