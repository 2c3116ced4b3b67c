// A weight in tiles of 16 rows (kernels/cpu/layout.h).
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cpu/layout.h"
#include "worker/backend/cpu/thread_pool.h"
#include "worker/backend/host/memory.h"
#include "worker/backend/weight.h"

namespace bessemer::cpu {

// Rows of one format: one part, padded to whole tiles.
struct Segment {
  kernels::TileFormat format;
  int32_t first_row, rows;
  size_t tile_bytes;
  const std::byte* tiles;

  int32_t tile_count() const { return (rows + kernels::kTileRows - 1) / kernels::kTileRows; }
};

bool is_quantised(kernels::TileFormat format);
// Bytes of one tile of `cols` columns, rounded up to whole cache lines.
size_t tile_size(kernels::TileFormat format, int32_t cols);

class PackedWeight final : public Weight {
 public:
  // Packs on all threads of `pool`.
  static StatusOr<WeightPtr> pack(std::span<const WeightPart> parts, ThreadPool& pool);

  int32_t out_features() const override { return rows_; }
  int32_t in_features() const override { return cols_; }
  size_t size_bytes() const override { return size_bytes_; }

  std::span<const Segment> segments() const { return segments_; }
  bool any_quantised() const;
  const float* bias() const { return bias_.empty() ? nullptr : bias_.data(); }

  // One row as f32, bit for bit what dequantize() gives.
  void read_row(int32_t row, float* out) const;
  // The only row of a vector (norms, single outputs), f32; nullptr: there are more.
  const float* vector() const { return vector_.empty() ? nullptr : vector_.data(); }

 private:
  Status place(std::span<const WeightPart> parts, ThreadPool& pool);

  int32_t rows_ = 0, cols_ = 0;
  size_t size_bytes_ = 0;
  host::Array<std::byte> tiles_;
  std::vector<Segment> segments_;  // none when the weight is a vector
  std::vector<float> bias_;        // empty when no part has one
  std::vector<float> vector_;
};

}  // namespace bessemer::cpu
