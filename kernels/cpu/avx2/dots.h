// Exact integer products of one block of 16 weight rows with R activation rows; what they give is
// said in scalar/dots.h. Without VNNI: vpmaddubsw adds two products of unsigned by signed bytes in
// 16 bits, saturating.
#pragma once
#include "kernels/cpu/avx2/vec.h"

namespace bessemer::kernels {
namespace {

inline __m256i load_bytes(const uint8_t* bytes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
}
// Four activations, for each of 8 weight rows.
inline __m256i broadcast4(const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, sizeof four);
  return _mm256_set1_epi32(four);
}
inline __m256i pairs_to_sums(__m256i words) {
  return _mm256_madd_epi16(words, _mm256_set1_epi16(1));
}

// 16-bit sums hold the whole block: 8 steps of two products of at most 15 * 127 are 30,480.
template <int R>
inline void dots_u4(const uint8_t* quants, const int8_t* const (&q)[R], I (&sums)[R]) {
  const __m256i mask = _mm256_set1_epi8(0xf);
  __m256i lo[R], hi[R];
  for (int r = 0; r < R; ++r) lo[r] = hi[r] = _mm256_setzero_si256();
  for (int step = 0; step < 4; ++step) {
    const __m256i a = load_bytes(quants + 64 * step), b = load_bytes(quants + 64 * step + 32);
    const __m256i a_low = _mm256_and_si256(a, mask), b_low = _mm256_and_si256(b, mask);
    const __m256i a_high = _mm256_and_si256(_mm256_srli_epi16(a, 4), mask);
    const __m256i b_high = _mm256_and_si256(_mm256_srli_epi16(b, 4), mask);
    for (int r = 0; r < R; ++r) {
      const __m256i x = broadcast4(q[r] + 4 * step), y = broadcast4(q[r] + 4 * step + 16);
      lo[r] = _mm256_add_epi16(lo[r], _mm256_maddubs_epi16(a_low, x));
      hi[r] = _mm256_add_epi16(hi[r], _mm256_maddubs_epi16(b_low, x));
      lo[r] = _mm256_add_epi16(lo[r], _mm256_maddubs_epi16(a_high, y));
      hi[r] = _mm256_add_epi16(hi[r], _mm256_maddubs_epi16(b_high, y));
    }
  }
  for (int r = 0; r < R; ++r) sums[r] = {pairs_to_sums(lo[r]), pairs_to_sums(hi[r])};
}

// |w| * (x with w's sign): at most 128 * 127 twice, 32,512, so nothing saturates (x is never -128).
template <int R, int kBegin, int kEnd>
inline void dots_i8_steps(const uint8_t* quants, const int8_t* const (&q)[R], I (&sums)[R]) {
  for (int r = 0; r < R; ++r) sums[r] = set_int(0);
  for (int step = kBegin; step < kEnd; ++step) {
    const __m256i a = load_bytes(quants + 64 * step), b = load_bytes(quants + 64 * step + 32);
    const __m256i a_size = _mm256_abs_epi8(a), b_size = _mm256_abs_epi8(b);
    for (int r = 0; r < R; ++r) {
      const __m256i x = broadcast4(q[r] + 4 * step);
      const __m256i lo = _mm256_maddubs_epi16(a_size, _mm256_sign_epi8(x, a));
      const __m256i hi = _mm256_maddubs_epi16(b_size, _mm256_sign_epi8(x, b));
      sums[r] = add(sums[r], {pairs_to_sums(lo), pairs_to_sums(hi)});
    }
  }
}

template <int R>
inline void dots_i8(const uint8_t* quants, const int8_t* const (&q)[R],
                    const ActivationBlock* const (&)[R], I (&sums)[R]) {
  dots_i8_steps<R, 0, 8>(quants, q, sums);
}
template <int R>
inline void dots_i8_halves(const uint8_t* quants, const int8_t* const (&q)[R],
                           const ActivationBlock* const (&)[R], I (&first)[R], I (&second)[R]) {
  dots_i8_steps<R, 0, 4>(quants, q, first);
  dots_i8_steps<R, 4, 8>(quants, q, second);
}

// Each 32-bit lane holds four inputs of one row.
inline I column_u4(const uint8_t* quants, int32_t k) {
  const uint8_t* words = quants + k % 16 / 4 * 64;
  const __m128i shift = _mm_cvtsi32_si128(k % 4 * 8 + k / 16 * 4);
  const __m256i mask = _mm256_set1_epi32(0xf);
  return {_mm256_and_si256(_mm256_srl_epi32(load_bytes(words), shift), mask),
          _mm256_and_si256(_mm256_srl_epi32(load_bytes(words + 32), shift), mask)};
}
inline I column_i8(const uint8_t* quants, int32_t k) {
  const uint8_t* words = quants + k / 4 * 64;
  const __m128i to_top = _mm_cvtsi32_si128(24 - k % 4 * 8);
  return {_mm256_srai_epi32(_mm256_sll_epi32(load_bytes(words), to_top), 24),
          _mm256_srai_epi32(_mm256_sll_epi32(load_bytes(words + 32), to_top), 24)};
}

}  // namespace
}  // namespace bessemer::kernels
