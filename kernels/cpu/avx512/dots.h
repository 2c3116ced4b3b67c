// Exact integer products of 16 weight rows with R activation rows; what they give is said in
// scalar/dots.h. vpdpbusd adds four products of unsigned by signed bytes to 32 bits.
#pragma once
#include "kernels/cpu/avx512/vec.h"

namespace bessemer::kernels {
namespace {

// Quants of 8 bits become unsigned by adding 128.
constexpr int32_t kByteBias = 128;

template <typename Q>
inline __m512i unsigned_step(const Q& quants, int step) {
  const __m512i bytes = quants.step(step).all;
  return Q::kBits == 8 ? _mm512_xor_si512(bytes, _mm512_set1_epi8(-128)) : bytes;
}
// Four activations, for each of 16 weight rows.
inline __m512i broadcast4(const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, sizeof four);
  return _mm512_set1_epi32(four);
}

template <int kGroups, int kGroup, typename Q, int R>
[[gnu::always_inline]] inline void dots(const Q& quants, const int8_t* const (&q)[R],
                                        I (&sums)[R]) {
  __m512i even[R], odd[R];  // two chains: vpdpbusd has a latency of 4 to 5 cycles
  for (int r = 0; r < R; ++r) even[r] = odd[r] = _mm512_setzero_si512();
#pragma clang loop unroll(full)
  for (int i = kGroup * 4 / kGroups; i < (kGroup + 1) * 4 / kGroups; ++i) {
    const int first = kGroups == 1 ? i : 2 * i, second = kGroups == 1 ? i + 4 : 2 * i + 1;
    const __m512i a = unsigned_step(quants, first), b = unsigned_step(quants, second);
    for (int r = 0; r < R; ++r) {
      even[r] = _mm512_dpbusd_epi32(even[r], a, broadcast4(q[r] + 4 * first));
      odd[r] = _mm512_dpbusd_epi32(odd[r], b, broadcast4(q[r] + 4 * second));
    }
  }
  for (int r = 0; r < R; ++r) sums[r] = {_mm512_add_epi32(even[r], odd[r])};
}

}  // namespace
}  // namespace bessemer::kernels
