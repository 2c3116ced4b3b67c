// Sixteen lanes in plain C++: the oracle that the other instruction sets must equal bit for bit.
#pragma once
#include "kernels/cpu/layout.h"

namespace bessemer::kernels {
namespace {

constexpr int kRowsAtOnce = 4;  // activation rows of one micro-kernel
constexpr int kChains = 4;      // sums of one micro-kernel
constexpr int kStreams = 1;     // weight tiles read side by side

struct F {
  float lane[16];
};
struct I {
  int32_t lane[16];
};
// 64 bytes: four of each lane.
struct B {
  uint8_t byte[64];
};

template <typename Function>
inline F each(Function function) {
  F out;
  for (int i = 0; i < 16; ++i) out.lane[i] = function(i);
  return out;
}
template <typename Function>
inline I each_int(Function function) {
  I out;
  for (int i = 0; i < 16; ++i) out.lane[i] = function(i);
  return out;
}

inline uint32_t bits_of(float value) {
  return __builtin_bit_cast(uint32_t, value);
}
inline float float_of(uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}

// IEEE binary16 <-> binary32; rounds to nearest even, as F16C does.
inline float widen(Half half) {
  const uint32_t sign = static_cast<uint32_t>(half.bits & 0x8000) << 16;
  const uint32_t magnitude = half.bits & 0x7fff;
  if (magnitude >= 0x7c00) return float_of(sign | 0x7f800000 | magnitude << 13);
  // Shifted into place the exponent is 112 too small; the product corrects it and normalises
  // subnormals.
  return float_of(sign | bits_of(float_of(magnitude << 13) * 0x1p112f));
}
inline Half narrow(float value) {
  const uint32_t bits = bits_of(value), magnitude = bits & 0x7fffffff;
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  if (magnitude > 0x7f800000)
    return {static_cast<uint16_t>(sign | 0x7e00 | (magnitude >> 13 & 0x3ff))};
  if (magnitude >= 0x477ff000) return {static_cast<uint16_t>(sign | 0x7c00)};  // 65520 and above
  if (magnitude < 0x38800000) {  // below 2^-14: the addition rounds to a multiple of 2^-24
    return {static_cast<uint16_t>(sign | (bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f)))};
  }
  const uint32_t odd = magnitude >> 13 & 1;
  return {static_cast<uint16_t>(sign | ((magnitude - 0x38000000 + 0xfff + odd) >> 13))};
}

inline F zero() {
  return F{};
}
inline F set(float value) {
  return each([&](int) { return value; });
}
inline I set_int(int32_t value) {
  return each_int([&](int) { return value; });
}
inline F load(const float* x) {
  return each([&](int i) { return x[i]; });
}
inline F load(const Half* x) {
  return each([&](int i) { return widen(x[i]); });
}
inline F load(const Bfloat* x) {
  return each([&](int i) { return float_of(static_cast<uint32_t>(x[i].bits) << 16); });
}
inline F load(const int8_t* x) {
  return each([&](int i) { return static_cast<float>(x[i]); });
}
inline F load_part(const float* x, int count) {
  return each([&](int i) { return i < count ? x[i] : 0.0f; });
}
inline void store(float* out, F a) {
  for (int i = 0; i < 16; ++i) out[i] = a.lane[i];
}
inline void store_part(float* out, F a, int count) {
  for (int i = 0; i < count; ++i) out[i] = a.lane[i];
}
inline void store(Half* out, F a) {
  for (int i = 0; i < 16; ++i) out[i] = narrow(a.lane[i]);
}

// Each of 8 values in two neighbouring lanes.
inline F load_twice(const float* x) {
  return each([&](int i) { return x[i / 2]; });
}
// Lanes 1, 0, 3, 2...
inline F swap_pairs(F a) {
  return each([&](int i) { return a.lane[i ^ 1]; });
}
// a - b in even lanes, a + b in odd ones.
inline F subtract_add(F a, F b) {
  return each([&](int i) { return i % 2 == 0 ? a.lane[i] - b.lane[i] : a.lane[i] + b.lane[i]; });
}

inline F add(F a, F b) {
  return each([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline F sub(F a, F b) {
  return each([&](int i) { return a.lane[i] - b.lane[i]; });
}
inline F mul(F a, F b) {
  return each([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline F div(F a, F b) {
  return each([&](int i) { return a.lane[i] / b.lane[i]; });
}
inline F fma(F a, F b, F c) {
  return each([&](int i) { return __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]); });
}
// b where either is NaN, as the x86 instructions.
inline F max(F a, F b) {
  return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline F min(F a, F b) {
  return each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
// a < b ? x : y
inline F select_less(F a, F b, F x, F y) {
  return each([&](int i) { return a.lane[i] < b.lane[i] ? x.lane[i] : y.lane[i]; });
}
inline int32_t count_less(F a, F b) {
  int32_t count = 0;
  for (int i = 0; i < 16; ++i) count += a.lane[i] < b.lane[i] ? 1 : 0;
  return count;
}
// The first `count` lanes of a, the others of b.
inline F first_lanes(int count, F a, F b) {
  return each([&](int i) { return i < count ? a.lane[i] : b.lane[i]; });
}
inline F absolute(F a) {
  return each([&](int i) { return float_of(bits_of(a.lane[i]) & 0x7fffffff); });
}

inline I bits(F a) {
  return each_int([&](int i) { return static_cast<int32_t>(bits_of(a.lane[i])); });
}
inline F from_bits(I a) {
  return each([&](int i) { return float_of(static_cast<uint32_t>(a.lane[i])); });
}
inline I add(I a, I b) {
  return each_int([&](int i) {
    return static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) +
                                static_cast<uint32_t>(b.lane[i]));
  });
}
inline I max(I a, I b) {
  return each_int([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline I sub(I a, I b) {
  return each_int([&](int i) {
    return static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) -
                                static_cast<uint32_t>(b.lane[i]));
  });
}
inline I shift_left(I a, int count) {
  return each_int(
      [&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) << count); });
}
inline F to_float(I a) {
  return each([&](int i) { return static_cast<float>(a.lane[i]); });
}
// To nearest even; |a| < 2^22.
inline I round_to_int(F a) {
  return each_int([&](int i) { return static_cast<int32_t>(a.lane[i] + 0x1.8p23f - 0x1.8p23f); });
}
// Lanes in [-128, 127].
inline void store_i8(int8_t* out, I a) {
  for (int i = 0; i < 16; ++i) out[i] = static_cast<int8_t>(a.lane[i]);
}

inline B load_bytes(const uint8_t* x) {
  B out;
  for (int i = 0; i < 64; ++i) out.byte[i] = x[i];
  return out;
}
inline void store_bytes(uint8_t* out, B a) {
  for (int i = 0; i < 64; ++i) out[i] = a.byte[i];
}
inline B either(B a, B b) {
  for (int i = 0; i < 64; ++i) a.byte[i] |= b.byte[i];
  return a;
}
// The bits of `mask` of each byte shifted right by `shift`, or left by -`shift`; `mask` leaves out
// what a shift of more than a byte would bring in.
inline B bits_at(B a, int shift, uint8_t mask) {
  for (int i = 0; i < 64; ++i) {
    const int value = shift < 0 ? a.byte[i] << -shift : a.byte[i] >> shift;
    a.byte[i] = static_cast<uint8_t>(value & mask);
  }
  return a;
}
// Bits of each lane's four bytes.
inline I field(B a, int shift, int32_t mask) {
  return each_int([&](int i) {
    uint32_t lane;
    __builtin_memcpy(&lane, a.byte + 4 * i, sizeof lane);
    return static_cast<int32_t>(lane >> shift) & mask;
  });
}
// Byte k of each lane's four, its sign extended.
inline I byte_of(B a, int k) {
  return each_int([&](int i) { return static_cast<int8_t>(a.byte[4 * i + k]); });
}

// Lanes i and i + 8 first, then i and i + 4, i + 2, i + 1.
inline float sum(F a) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.lane[i] += a.lane[i + half];
  }
  return a.lane[0];
}
inline float largest(F a) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) {
      a.lane[i] = a.lane[i] > a.lane[i + half] ? a.lane[i] : a.lane[i + half];
    }
  }
  return a.lane[0];
}
inline int32_t sum(I a) {
  int32_t total = 0;
  for (int i = 0; i < 16; ++i) total += a.lane[i];
  return total;
}
inline int32_t largest(I a) {
  int32_t found = a.lane[0];
  for (int i = 1; i < 16; ++i) found = a.lane[i] > found ? a.lane[i] : found;
  return found;
}
inline float square_root(float a) {
  return __builtin_sqrtf(a);
}

}  // namespace
}  // namespace bessemer::kernels
