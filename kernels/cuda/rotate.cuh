// One pair of a head, rotated; rope and rope_store share it, so that both give the same bits.
#pragma once
#include "kernels/cuda/pointwise.h"

namespace bessemer::cuda {

__device__ inline void rotate_pair(float* head, const Rotation& r, int32_t position, int32_t pair) {
  const int64_t at = static_cast<int64_t>(position) * r.pairs + pair;
  const float cosine = r.cosines[at], sine = r.sines[at];
  float& a = head[r.interleaved ? 2 * pair : pair];
  float& b = head[r.interleaved ? 2 * pair + 1 : pair + r.pairs];
  const float x = a, y = b;
  a = x * cosine - y * sine;
  b = x * sine + y * cosine;
}

}  // namespace bessemer::cuda
