// Exact integer products of one block of 16 weight rows with R activation rows; see layout.h for
// the order of the quants.
#pragma once
#include "kernels/cpu/scalar/vec.h"

namespace bessemer::kernels {
namespace {

// q: the block's 32 values of each activation row; blocks: what is known of them.
// sums[r].lane[o] = sum of quant[o] * q[r], quants in [0, 15].
template <int R>
void dots_u4(const uint8_t* quants, const int8_t* const (&q)[R], I (&sums)[R]) {
  for (int r = 0; r < R; ++r) {
    sums[r] = each_int([&](int o) {
      int32_t sum = 0;
      for (int k = 0; k < 16; ++k) {
        const int pair = quants[k / 4 * 64 + o * 4 + k % 4];
        sum += (pair & 0xf) * q[r][k] + (pair >> 4) * q[r][k + 16];
      }
      return sum;
    });
  }
}

// The same for quants in [-128, 127]; halves: sums of the first and of the last 16 inputs.
template <int R>
void dots_i8_halves(const uint8_t* quants, const int8_t* const (&q)[R],
                    const ActivationBlock* const (&)[R], I (&first)[R], I (&second)[R]) {
  const auto dot = [&](int r, int o, int begin) {
    int32_t sum = 0;
    for (int k = begin; k < begin + 16; ++k) {
      sum += static_cast<int8_t>(quants[k / 4 * 64 + o * 4 + k % 4]) * q[r][k];
    }
    return sum;
  };
  for (int r = 0; r < R; ++r) {
    first[r] = each_int([&](int o) { return dot(r, o, 0); });
    second[r] = each_int([&](int o) { return dot(r, o, 16); });
  }
}

template <int R>
void dots_i8(const uint8_t* quants, const int8_t* const (&q)[R],
             const ActivationBlock* const (&blocks)[R], I (&sums)[R]) {
  I second[R];
  dots_i8_halves<R>(quants, q, blocks, sums, second);
  for (int r = 0; r < R; ++r) sums[r] = add(sums[r], second[r]);
}

// The quants of 16 rows at input k of the block.
inline I column_u4(const uint8_t* quants, int32_t k) {
  const int32_t byte = k % 16;
  return each_int(
      [&](int o) { return quants[byte / 4 * 64 + o * 4 + byte % 4] >> (k / 16 * 4) & 0xf; });
}
inline I column_i8(const uint8_t* quants, int32_t k) {
  return each_int([&](int o) { return static_cast<int8_t>(quants[k / 4 * 64 + o * 4 + k % 4]); });
}

}  // namespace
}  // namespace bessemer::kernels
