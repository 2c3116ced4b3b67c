// What the row kernels and attention share, the same for every instruction set; include after its
// vec.h.
#pragma once
#include "kernels/cpu/layout.h"

namespace bessemer::kernels {
namespace {

// Up to 16 lanes; the others are 0.
inline F load_lanes(const float* x, int32_t count) {
  return count >= 16 ? load(x) : load_part(x, count);
}
inline void store_lanes(float* out, F a, int32_t count) {
  if (count >= 16) return store(out, a);
  store_part(out, a, count);
}

// e^x, relative error below 3e-7 in [-87.3, 88]; 0 below, e^88 above; NaN stays NaN.
// x = n ln 2 + r, |r| <= ln(2) / 2; ln 2 in two pieces (Cody and Waite 1980), Taylor's series to
// r^7.
inline F exponential(F x) {
  const F rounder = set(0x1.8p23f);  // adding it leaves the nearest integer in the low bits
  const F bounded = max(set(-87.33f), min(set(88.0f), x));
  const F shifted = fma(bounded, set(1.44269504f), rounder);
  const F n = sub(shifted, rounder);
  F r = fma(n, set(-0.693359375f), bounded);
  r = fma(n, set(2.12194440e-4f), r);
  F p = set(1.0f / 5040);
  p = fma(p, r, set(1.0f / 720));
  p = fma(p, r, set(1.0f / 120));
  p = fma(p, r, set(1.0f / 24));
  p = fma(p, r, set(1.0f / 6));
  p = fma(p, r, set(0.5f));
  p = fma(p, r, set(1.0f));
  p = fma(p, r, set(1.0f));
  const F power = from_bits(shift_left(add(bits(shifted), set_int(127)), 23));
  return select_less(x, set(-87.33f), zero(), mul(p, power));
}

}  // namespace
}  // namespace bessemer::kernels
