// Exact integer products of 16 weight rows with R activation rows; what they give is said in
// scalar/dots.h. Without VNNI: vpmaddubsw adds two products of unsigned by signed bytes in 16 bits,
// saturating.
#pragma once
#include "kernels/cpu/avx2/vec.h"

namespace bessemer::kernels {
namespace {

constexpr int32_t kByteBias = 0;

// Four activations, for each of 8 weight rows.
inline __m256i broadcast4(const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, sizeof four);
  return _mm256_set1_epi32(four);
}
inline I pairs_to_sums(B words) {
  const __m256i one = _mm256_set1_epi16(1);
  return {_mm256_madd_epi16(words.lo, one), _mm256_madd_epi16(words.hi, one)};
}
// Compilers reorder a block's sums row by row, as if there were registers for all of its weights:
// this keeps the order as written.
template <typename T>
inline T in_order(T a) {
  asm volatile("" : "+x"(a.lo), "+x"(a.hi));
  return a;
}
inline B add_words(B a, B b) {
  return {_mm256_add_epi16(a.lo, b.lo), _mm256_add_epi16(a.hi, b.hi)};
}

// Quants below 2^kBits times one row's activations: 16-bit sums of two.
inline B unsigned_products(B quants, __m256i x) {
  return {_mm256_maddubs_epi16(quants.lo, x), _mm256_maddubs_epi16(quants.hi, x)};
}
// |w| * (x with w's sign): at most 128 * 127 twice, 32,512, so nothing saturates (x is never -128).
inline B signed_products(B quants, B sizes, __m256i x) {
  return {_mm256_maddubs_epi16(sizes.lo, _mm256_sign_epi8(x, quants.lo)),
          _mm256_maddubs_epi16(sizes.hi, _mm256_sign_epi8(x, quants.hi))};
}

// Pairs of steps whose products 16 bits hold: each step brings at most 2 * 127 * (2^bits - 1).
constexpr int pairs_in_words(int bits) {
  return 32767 / (4 * 127 * ((1 << bits) - 1));
}

// Pairs of steps [kBegin, kEnd) of a block in 4 pairs, summed in 16 bits as long as those suffice.
template <int kGroups, int kBegin, int kEnd, typename Q, int R>
[[gnu::always_inline]] inline void add_pairs(const Q& quants, const int8_t* const (&q)[R],
                                             I (&sums)[R]) {
  constexpr int kRun =
      pairs_in_words(Q::kBits) < kEnd - kBegin ? pairs_in_words(Q::kBits) : kEnd - kBegin;
  B words[R];
#pragma clang loop unroll(full)
  for (int i = kBegin; i < kEnd; ++i) {
    // Steps that share a line of nibbles where a group has both.
    const int first = kGroups == 1 ? i : 2 * i, second = kGroups == 1 ? i + 4 : 2 * i + 1;
    const B a = quants.step(first), b = quants.step(second);
    const bool begins = (i - kBegin) % kRun == 0, ends = (i - kBegin) % kRun == kRun - 1;
    for (int r = 0; r < R; ++r) {
      const B two = add_words(unsigned_products(a, broadcast4(q[r] + 4 * first)),
                              unsigned_products(b, broadcast4(q[r] + 4 * second)));
      words[r] = in_order(begins ? two : add_words(words[r], two));
      if (!ends) continue;
      const I run = pairs_to_sums(words[r]);
      sums[r] = in_order(i - kBegin < kRun ? run : add(sums[r], run));
    }
  }
}

template <int kBegin, int kEnd, typename Q, int R>
[[gnu::always_inline]] inline void add_signed(const Q& quants, const int8_t* const (&q)[R],
                                              I (&sums)[R]) {
  for (int r = 0; r < R; ++r) sums[r] = set_int(0);
#pragma clang loop unroll(full)
  for (int step = kBegin; step < kEnd; ++step) {
    const B w = quants.step(step), sizes = {_mm256_abs_epi8(w.lo), _mm256_abs_epi8(w.hi)};
    for (int r = 0; r < R; ++r) {
      const B two = signed_products(w, sizes, broadcast4(q[r] + 4 * step));
      sums[r] = in_order(add(sums[r], pairs_to_sums(two)));
    }
  }
}

template <int kGroups, int kGroup, typename Q, int R>
[[gnu::always_inline]] inline void dots(const Q& quants, const int8_t* const (&q)[R],
                                        I (&sums)[R]) {
  if constexpr (Q::kBits == 8) {
    add_signed<kGroup * 8 / kGroups, (kGroup + 1) * 8 / kGroups>(quants, q, sums);
  } else {
    constexpr int kPairs = 4 / kGroups;
    static_assert(pairs_in_words(Q::kBits) >= 1);
    add_pairs<kGroups, kGroup * kPairs, (kGroup + 1) * kPairs>(quants, q, sums);
  }
}

}  // namespace
}  // namespace bessemer::kernels
