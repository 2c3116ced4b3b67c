// Exact integer products of 16 weight rows with R activation rows; see layout.h for the order of
// the quants.
#pragma once
#include "kernels/cpu/scalar/vec.h"

namespace bessemer::kernels {
namespace {

// What a quant of 8 bits is too large by in these products.
constexpr int32_t kByteBias = 0;

// Q: a block's quants (PackedQuants or PlainQuants, generic/unpack.h); q: the block's 32 values of each activation row.
// sums[r].lane[o] = sum of quant[o] * q[r] over group `kGroup` of kGroups.
template <int kGroups, int kGroup, typename Q, int R>
void dots(const Q& quants, const int8_t* const (&q)[R], I (&sums)[R]) {
  for (int r = 0; r < R; ++r) sums[r] = set_int(0);
  for (int step = kGroup * kSteps / kGroups; step < (kGroup + 1) * kSteps / kGroups; ++step) {
    const B bytes = quants.step(step);
    for (int k = 0; k < 4; ++k) {
      const I column = byte_of(bytes, k);
      for (int r = 0; r < R; ++r) {
        const int32_t x = q[r][4 * step + k];
        for (int o = 0; o < 16; ++o) sums[r].lane[o] += column.lane[o] * x;
      }
    }
  }
}

}  // namespace
}  // namespace bessemer::kernels
