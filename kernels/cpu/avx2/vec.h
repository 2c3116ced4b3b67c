// Sixteen lanes as two AVX2 registers; what each function must give is said in scalar/vec.h.
#pragma once
#include <immintrin.h>

#include "kernels/cpu/layout.h"

namespace bessemer::kernels {
namespace {

constexpr int kRowsAtOnce = 4;  // 8 sums of 16-bit products and what feeds them fill 16 registers
constexpr int kChains = 4;      // pairs of sums side by side: two fma a cycle, four cycles each
constexpr int kStreams = 4;  // weight tiles that few rows read side by side (generic/quantised.h)

struct F {
  __m256 lo, hi;
};
struct I {
  __m256i lo, hi;
};
struct B {
  __m256i lo, hi;
};

inline const __m128i* as_m128(const void* address) {
  return static_cast<const __m128i*>(address);
}

inline F zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
inline F set(float value) {
  return {_mm256_set1_ps(value), _mm256_set1_ps(value)};
}
inline I set_int(int32_t value) {
  return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)};
}
inline F load(const float* x) {
  return {_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)};
}
inline F load(const Half* x) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(as_m128(x))),
          _mm256_cvtph_ps(_mm_loadu_si128(as_m128(x + 8)))};
}
inline __m256 widen_bfloat(const Bfloat* x) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(as_m128(x)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
inline F load(const Bfloat* x) {
  return {widen_bfloat(x), widen_bfloat(x + 8)};
}
inline __m256 widen_i8(const int8_t* x) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(as_m128(x))));
}
inline F load(const int8_t* x) {
  return {widen_i8(x), widen_i8(x + 8)};
}
inline F load_part(const float* x, int count) {
  float lanes[16] = {};
  for (int i = 0; i < count; ++i) lanes[i] = x[i];
  return load(lanes);
}
inline void store(float* out, F a) {
  _mm256_storeu_ps(out, a.lo);
  _mm256_storeu_ps(out + 8, a.hi);
}
inline void store_part(float* out, F a, int count) {
  float lanes[16];
  store(lanes, a);
  for (int i = 0; i < count; ++i) out[i] = lanes[i];
}
inline void store(Half* out, F a) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_cvtps_ph(a.lo, kNearest));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 8), _mm256_cvtps_ph(a.hi, kNearest));
}

inline F load_twice(const float* x) {
  const __m256 eight = _mm256_loadu_ps(x);
  return {_mm256_permutevar8x32_ps(eight, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3)),
          _mm256_permutevar8x32_ps(eight, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7))};
}
inline F swap_pairs(F a) {
  return {_mm256_permute_ps(a.lo, 0xb1), _mm256_permute_ps(a.hi, 0xb1)};
}
inline F subtract_add(F a, F b) {
  return {_mm256_addsub_ps(a.lo, b.lo), _mm256_addsub_ps(a.hi, b.hi)};
}

inline F add(F a, F b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
inline F sub(F a, F b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
inline F mul(F a, F b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
inline F div(F a, F b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
inline F fma(F a, F b, F c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
inline F max(F a, F b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
inline F min(F a, F b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
inline F select_less(F a, F b, F x, F y) {
  return {_mm256_blendv_ps(y.lo, x.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ)),
          _mm256_blendv_ps(y.hi, x.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ))};
}
inline int32_t count_less(F a, F b) {
  const int lo = _mm256_movemask_ps(_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ));
  const int hi = _mm256_movemask_ps(_mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ));
  return __builtin_popcount(static_cast<unsigned>(lo | hi << 8));
}
inline F first_lanes(int count, F a, F b) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256 lo = _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane));
  const __m256 hi = _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(count - 8), lane));
  return {_mm256_blendv_ps(b.lo, a.lo, lo), _mm256_blendv_ps(b.hi, a.hi, hi)};
}

inline I bits(F a) {
  return {_mm256_castps_si256(a.lo), _mm256_castps_si256(a.hi)};
}
inline F from_bits(I a) {
  return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)};
}
inline F absolute(F a) {
  const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  return {_mm256_and_ps(a.lo, mask), _mm256_and_ps(a.hi, mask)};
}
inline I add(I a, I b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
inline I max(I a, I b) {
  return {_mm256_max_epi32(a.lo, b.lo), _mm256_max_epi32(a.hi, b.hi)};
}
inline I sub(I a, I b) {
  return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)};
}
inline I shift_left(I a, int count) {
  return {_mm256_slli_epi32(a.lo, count), _mm256_slli_epi32(a.hi, count)};
}
inline F to_float(I a) {
  return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)};
}
inline I round_to_int(F a) {
  return {_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)};
}
inline void store_i8(int8_t* out, I a) {
  // packs works on 128-bit halves: 0-3, 8-11, 4-7, 12-15 come out and are put in order.
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a.lo, a.hi), 0xd8);
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(out),
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

inline B load_bytes(const uint8_t* x) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 32))};
}
inline void store_bytes(uint8_t* out, B a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), a.lo);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 32), a.hi);
}
inline B either(B a, B b) {
  return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)};
}
inline __m256i bits_at(__m256i a, int shift, uint8_t mask) {
  const __m256i moved = shift < 0 ? _mm256_slli_epi16(a, -shift) : _mm256_srli_epi16(a, shift);
  return _mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(mask)));
}
inline B bits_at(B a, int shift, uint8_t mask) {
  return {bits_at(a.lo, shift, mask), bits_at(a.hi, shift, mask)};
}
inline I field(B a, int shift, int32_t mask) {
  const __m256i bits = _mm256_set1_epi32(mask);
  return {_mm256_and_si256(_mm256_srli_epi32(a.lo, shift), bits),
          _mm256_and_si256(_mm256_srli_epi32(a.hi, shift), bits)};
}
inline I byte_of(B a, int k) {
  const int to_top = 24 - 8 * k;
  return {_mm256_srai_epi32(_mm256_slli_epi32(a.lo, to_top), 24),
          _mm256_srai_epi32(_mm256_slli_epi32(a.hi, to_top), 24)};
}

inline float sum(F a) {
  const __m256 eight = _mm256_add_ps(a.lo, a.hi);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float largest(F a) {
  const __m256 eight = _mm256_max_ps(a.lo, a.hi);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
inline int32_t sum(I a) {
  const __m256i eight = _mm256_add_epi32(a.lo, a.hi);
  const __m128i four =
      _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}
inline int32_t largest(I a) {
  const __m256i eight = _mm256_max_epi32(a.lo, a.hi);
  const __m128i four =
      _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_max_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 1)));
}
inline float square_root(float a) {
  return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(a)));
}

}  // namespace
}  // namespace bessemer::kernels
