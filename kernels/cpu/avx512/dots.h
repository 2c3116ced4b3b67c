// Exact integer products of one block of 16 weight rows with R activation rows; what they give is
// said in scalar/dots.h. vpdpbusd adds four products of unsigned by signed bytes to 32 bits.
#pragma once
#include "kernels/cpu/avx512/vec.h"

namespace bessemer::kernels {
namespace {

// Four activations, for each of 16 weight rows.
inline __m512i broadcast4(const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, sizeof four);
  return _mm512_set1_epi32(four);
}

template <int R>
inline void dots_u4(const uint8_t* quants, const int8_t* const (&q)[R], I (&sums)[R]) {
  const __m512i mask = _mm512_set1_epi8(0xf);
  __m512i low[R], high[R];  // two chains: vpdpbusd has a latency of 4 to 5 cycles
  for (int r = 0; r < R; ++r) low[r] = high[r] = _mm512_setzero_si512();
  for (int step = 0; step < 4; ++step) {
    const __m512i pairs = _mm512_loadu_si512(quants + 64 * step);
    const __m512i a = _mm512_and_si512(pairs, mask);
    const __m512i b = _mm512_and_si512(_mm512_srli_epi16(pairs, 4), mask);
    for (int r = 0; r < R; ++r) {
      low[r] = _mm512_dpbusd_epi32(low[r], a, broadcast4(q[r] + 4 * step));
      high[r] = _mm512_dpbusd_epi32(high[r], b, broadcast4(q[r] + 4 * step + 16));
    }
  }
  for (int r = 0; r < R; ++r) sums[r] = {_mm512_add_epi32(low[r], high[r])};
}

// The weights become unsigned by adding 128; `start` takes 128 times the activations' sum away
// again.
template <int R, int kBegin, int kEnd>
inline void dots_i8_steps(const uint8_t* quants, const int8_t* const (&q)[R],
                          const int32_t (&activation_sums)[R], I (&sums)[R]) {
  const __m512i flip = _mm512_set1_epi8(-128);
  for (int r = 0; r < R; ++r) sums[r] = set_int(-128 * activation_sums[r]);
  for (int step = kBegin; step < kEnd; ++step) {
    const __m512i w = _mm512_xor_si512(_mm512_loadu_si512(quants + 64 * step), flip);
    for (int r = 0; r < R; ++r) {
      sums[r].all = _mm512_dpbusd_epi32(sums[r].all, w, broadcast4(q[r] + 4 * step));
    }
  }
}

template <int R>
inline void dots_i8(const uint8_t* quants, const int8_t* const (&q)[R],
                    const ActivationBlock* const (&blocks)[R], I (&sums)[R]) {
  int32_t all[R];
  for (int r = 0; r < R; ++r) all[r] = blocks[r]->sum;
  dots_i8_steps<R, 0, 8>(quants, q, all, sums);
}
template <int R>
inline void dots_i8_halves(const uint8_t* quants, const int8_t* const (&q)[R],
                           const ActivationBlock* const (&blocks)[R], I (&first)[R],
                           I (&second)[R]) {
  int32_t early[R], late[R];
  for (int r = 0; r < R; ++r) {
    early[r] = blocks[r]->first_sum;
    late[r] = blocks[r]->sum - blocks[r]->first_sum;
  }
  dots_i8_steps<R, 0, 4>(quants, q, early, first);
  dots_i8_steps<R, 4, 8>(quants, q, late, second);
}

// Each 32-bit lane holds four inputs of one row.
inline I column_u4(const uint8_t* quants, int32_t k) {
  const __m512i words = _mm512_loadu_si512(quants + k % 16 / 4 * 64);
  const __m128i shift = _mm_cvtsi32_si128(k % 4 * 8 + k / 16 * 4);
  return {_mm512_and_si512(_mm512_srl_epi32(words, shift), _mm512_set1_epi32(0xf))};
}
inline I column_i8(const uint8_t* quants, int32_t k) {
  const __m512i words = _mm512_loadu_si512(quants + k / 4 * 64);
  const __m128i to_top = _mm_cvtsi32_si128(24 - k % 4 * 8);
  return {_mm512_srai_epi32(_mm512_sll_epi32(words, to_top), 24)};
}

}  // namespace
}  // namespace bessemer::kernels
