// Sixteen lanes as one AVX-512 register; what each function must give is said in scalar/vec.h.
#pragma once
#include <immintrin.h>

#include "kernels/cpu/layout.h"

namespace bessemer::kernels {
namespace {

constexpr int kRowsAtOnce =
    8;                       // 8 integer and 8 float sums leave half of the 32 registers to weights
constexpr int kChains = 8;   // sums side by side: two fma a cycle, four cycles each
constexpr int kStreams = 4;  // weight tiles that few rows read side by side (generic/quantised.h)

struct F {
  __m512 all;
};
struct I {
  __m512i all;
};
struct B {
  __m512i all;
};

inline __mmask16 first_mask(int count) {
  return static_cast<__mmask16>((1u << count) - 1u);
}

inline F zero() {
  return {_mm512_setzero_ps()};
}
inline F set(float value) {
  return {_mm512_set1_ps(value)};
}
inline I set_int(int32_t value) {
  return {_mm512_set1_epi32(value)};
}
inline F load(const float* x) {
  return {_mm512_loadu_ps(x)};
}
inline F load(const Half* x) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)))};
}
inline F load(const Bfloat* x) {
  const __m512i wide =
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
inline F load(const int8_t* x) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))};
}
inline F load_part(const float* x, int count) {
  return {_mm512_maskz_loadu_ps(first_mask(count), x)};
}
inline void store(float* out, F a) {
  _mm512_storeu_ps(out, a.all);
}
inline void store_part(float* out, F a, int count) {
  _mm512_mask_storeu_ps(out, first_mask(count), a.all);
}
inline void store(Half* out, F a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                      _mm512_cvtps_ph(a.all, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

inline F load_twice(const float* x) {
  const __m512i lanes = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  return {_mm512_permutexvar_ps(lanes, _mm512_castps256_ps512(_mm256_loadu_ps(x)))};
}
inline F swap_pairs(F a) {
  return {_mm512_permute_ps(a.all, 0xb1)};
}
inline F subtract_add(F a, F b) {
  return {_mm512_mask_sub_ps(_mm512_add_ps(a.all, b.all), 0x5555, a.all, b.all)};
}

inline F add(F a, F b) {
  return {_mm512_add_ps(a.all, b.all)};
}
inline F sub(F a, F b) {
  return {_mm512_sub_ps(a.all, b.all)};
}
inline F mul(F a, F b) {
  return {_mm512_mul_ps(a.all, b.all)};
}
inline F div(F a, F b) {
  return {_mm512_div_ps(a.all, b.all)};
}
inline F fma(F a, F b, F c) {
  return {_mm512_fmadd_ps(a.all, b.all, c.all)};
}
inline F max(F a, F b) {
  return {_mm512_max_ps(a.all, b.all)};
}
inline F min(F a, F b) {
  return {_mm512_min_ps(a.all, b.all)};
}
inline F select_less(F a, F b, F x, F y) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.all, b.all, _CMP_LT_OQ), y.all, x.all)};
}
inline int32_t count_less(F a, F b) {
  return __builtin_popcount(_mm512_cmp_ps_mask(a.all, b.all, _CMP_LT_OQ));
}
inline F first_lanes(int count, F a, F b) {
  return {_mm512_mask_blend_ps(first_mask(count), b.all, a.all)};
}
inline F absolute(F a) {
  return {_mm512_abs_ps(a.all)};
}

inline I bits(F a) {
  return {_mm512_castps_si512(a.all)};
}
inline F from_bits(I a) {
  return {_mm512_castsi512_ps(a.all)};
}
inline I add(I a, I b) {
  return {_mm512_add_epi32(a.all, b.all)};
}
inline I max(I a, I b) {
  return {_mm512_max_epi32(a.all, b.all)};
}
inline I sub(I a, I b) {
  return {_mm512_sub_epi32(a.all, b.all)};
}
inline I shift_left(I a, int count) {
  return {_mm512_slli_epi32(a.all, static_cast<unsigned>(count))};
}
inline F to_float(I a) {
  return {_mm512_cvtepi32_ps(a.all)};
}
inline I round_to_int(F a) {
  return {_mm512_cvtps_epi32(a.all)};
}
inline void store_i8(int8_t* out, I a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtsepi32_epi8(a.all));
}

inline B load_bytes(const uint8_t* x) {
  return {_mm512_loadu_si512(x)};
}
inline void store_bytes(uint8_t* out, B a) {
  _mm512_storeu_si512(out, a.all);
}
inline B either(B a, B b) {
  return {_mm512_or_si512(a.all, b.all)};
}
inline B bits_at(B a, int shift, uint8_t mask) {
  const __m512i moved = shift < 0 ? _mm512_slli_epi16(a.all, static_cast<unsigned>(-shift))
                                  : _mm512_srli_epi16(a.all, static_cast<unsigned>(shift));
  return {_mm512_and_si512(moved, _mm512_set1_epi8(static_cast<char>(mask)))};
}
inline I field(B a, int shift, int32_t mask) {
  return {_mm512_and_si512(_mm512_srli_epi32(a.all, static_cast<unsigned>(shift)),
                           _mm512_set1_epi32(mask))};
}
inline I byte_of(B a, int k) {
  const auto to_top = static_cast<unsigned>(24 - 8 * k);
  return {_mm512_srai_epi32(_mm512_slli_epi32(a.all, to_top), 24)};
}

inline float sum(F a) {
  const __m256 eight =
      _mm256_add_ps(_mm512_castps512_ps256(a.all), _mm512_extractf32x8_ps(a.all, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float largest(F a) {
  const __m256 eight =
      _mm256_max_ps(_mm512_castps512_ps256(a.all), _mm512_extractf32x8_ps(a.all, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
inline int32_t sum(I a) {
  return _mm512_reduce_add_epi32(a.all);
}
inline int32_t largest(I a) {
  return _mm512_reduce_max_epi32(a.all);
}
inline float square_root(float a) {
  return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(a)));
}

}  // namespace
}  // namespace bessemer::kernels
