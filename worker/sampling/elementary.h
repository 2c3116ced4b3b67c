// exp and log as the sampler uses them: plain IEEE operations in one stated order (the build has
// -ffp-contract=off), so that the same row gives the same token whatever libm, instruction set or
// vector width is at hand (E5).
#pragma once
#include <bit>
#include <cstdint>

namespace bessemer {

// e^x for x <= 0, relative error below 2e-7; 0 below -87 (the smallest normal float is e^-87.3).
// Branch-free but for a select, so loops over it vectorise.
inline float exp_nonpositive(float x) {
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound =
      12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  const float clamped = x < -87.0f ? -87.0f : x;
  const float shifted = clamped * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;  // |r| <= ln(2) / 2
  // Taylor's series to r^7; the first term left out is r^8 / 8!, below 6e-9.
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound);
  const float scale = std::bit_cast<float>((exponent + 127) << 23);
  return x < -87.0f ? 0.0f : p * scale;
}

// Natural logarithm of a positive, normal double; relative error below 1e-14 (also near 1, where x
// - 1 is exact).
inline double log_positive(double x) {
  constexpr double kLn2 = 0.693147180559945309417, kSqrtHalf = 0.70710678118654752440;
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  int exponent = static_cast<int>(bits >> 52) - 1022;
  double m = std::bit_cast<double>((bits & 0x000fffffffffffffu) | 0x3fe0000000000000u);  // [0.5, 1)
  if (m < kSqrtHalf) {
    m *= 2;
    --exponent;
  }
  // ln(m) = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.172; the first term left out is s^23 / 23,
  // below 2e-19.
  const double s = (m - 1) / (m + 1), s2 = s * s;
  double p = 1.0 / 21;
  for (int k = 19; k >= 1; k -= 2) p = p * s2 + 1.0 / k;
  return exponent * kLn2 + 2 * s * p;
}

}  // namespace bessemer
