// What ops need beside their operands, taken once when the backend is made and used by one op at a time. Whatever does not
// fit is done in slices.
#pragma once
#include "kernels/cuda/attention.h"
#include "kernels/cuda/products.h"
#include "worker/backend/cuda/device.h"
#include "worker/backend/cuda/weight.h"

namespace bessemer::cuda {

struct Workspace {
  // bf16 rows of a large product: 64 MiB hold 2,340 rows of width 14,336.
  static constexpr size_t kRowBytes = size_t{64} << 20;
  // bf16 outputs of a quantised weight: 128 MiB hold the gate and up rows of an 8B layer twice over four slices; long
  // enough that a product's start does not show.
  static constexpr size_t kWeightBytes = size_t{128} << 20;
  // Partial results of split contexts: 64 MiB hold 256 rows of 32 heads of width 128 in 15 splits.
  static constexpr size_t kPartialBytes = size_t{64} << 20;

  // ResourceExhausted names what did not fit.
  static StatusOr<Workspace> make();

  AttentionPartials attention() const {
    return {partials.as<float>(), kPartialBytes / sizeof(float)};
  }
  SplitRows split(int32_t n, int32_t cols) const {
    return {
        .parts = split_parts.as<uint4>(), .sums = split_sums.as<float>(), .rows = n, .cols = cols};
  }

  Memory rows, weight, partials;
  Memory split_parts, split_sums;  // of kTileProductRows rows of kMaxColumns
};

}  // namespace bessemer::cuda
