// Row kernels, the same for every instruction set; include after its vec.h.
#pragma once
#include "kernels/cpu/generic/activations.h"
#include "kernels/cpu/generic/math.h"
#include "kernels/cpu/kernels.h"

namespace bessemer::kernels {
namespace {

// 1 / (1 + e^-x); 0 below -88, where it leaves the range of floats.
inline F logistic(F x) {
  const F one = set(1.0f);
  const F value = div(one, add(one, exponential(sub(zero(), x))));
  return select_less(x, set(-88.0f), zero(), value);
}

// Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7, plus rounding.
inline F error_function(F x) {
  const F size = absolute(x);
  const F t = div(set(1.0f), fma(set(0.3275911f), size, set(1.0f)));
  F p = set(1.061405429f);
  p = fma(p, t, set(-1.453152027f));
  p = fma(p, t, set(1.421413741f));
  p = fma(p, t, set(-0.284496736f));
  p = fma(p, t, set(0.254829592f));
  const F tail = mul(mul(p, t), exponential(sub(zero(), mul(size, size))));
  const F positive = sub(set(1.0f), tail);
  return select_less(x, zero(), sub(zero(), positive), positive);
}

template <Gate kGate>
inline F gate_value(F x) {
  if constexpr (kGate == Gate::silu) {
    return mul(x, logistic(x));
  } else if constexpr (kGate == Gate::gelu) {
    const F half = mul(set(0.5f), x);
    return fma(half, error_function(mul(x, set(0.707106781f))), half);
  } else if constexpr (kGate == Gate::gelu_tanh) {
    // 0.5 (1 + tanh(y)) = 1 / (1 + e^-2y), y = sqrt(2 / pi) (x + 0.044715 x^3)
    const F cube = mul(mul(x, x), x);
    return mul(x, logistic(mul(set(1.595769122f), fma(set(0.044715f), cube, x))));
  } else {
    return max(zero(), x);
  }
}

template <Gate kGate>
void gated_by(float* out, const float* g, const float* up, int32_t count) {
  for (int32_t i = 0; i < count; i += 16) {
    const int32_t lanes = count - i;
    const F value = mul(gate_value<kGate>(load_lanes(g + i, lanes)), load_lanes(up + i, lanes));
    store_lanes(out + i, value, lanes);
  }
}

void gated(float* out, const float* g, const float* up, int32_t count, Gate gate) {
  switch (gate) {
    case Gate::silu:
      return gated_by<Gate::silu>(out, g, up, count);
    case Gate::gelu:
      return gated_by<Gate::gelu>(out, g, up, count);
    case Gate::gelu_tanh:
      return gated_by<Gate::gelu_tanh>(out, g, up, count);
    case Gate::relu:
      return gated_by<Gate::relu>(out, g, up, count);
  }
}

void add_rows(float* inout, const float* x, int32_t count) {
  for (int32_t i = 0; i < count; ++i) inout[i] += x[i];
}

// out = x * weight / sqrt(squares / count + eps).
void normalize(float* out, const float* x, const float* weight, int32_t count, F squares,
               float eps) {
  const int32_t whole = count / 16 * 16, rest = count - whole;
  const F inverse = set(1.0f / square_root(sum(squares) / static_cast<float>(count) + eps));
  for (int32_t i = 0; i < whole; i += 16) {
    store(out + i, mul(mul(load(x + i), inverse), load(weight + i)));
  }
  if (rest > 0) {
    const F a = mul(mul(load_part(x + whole, rest), inverse), load_part(weight + whole, rest));
    store_part(out + whole, a, rest);
  }
}

// Squares are summed in 16 lanes (lane = index mod 16), the lanes as sum() does it.
void rms_norm(float* out, const float* x, const float* weight, int32_t count, float eps) {
  F squares = zero();
  for (int32_t i = 0; i < count; i += 16) {
    const F a = load_lanes(x + i, count - i);
    squares = fma(a, a, squares);
  }
  normalize(out, x, weight, count, squares, eps);
}

void add_rms_norm(float* out, float* residual, const float* x, const float* weight, int32_t count,
                  float eps) {
  F squares = zero();
  for (int32_t i = 0; i < count; i += 16) {
    const F a = add(load_lanes(residual + i, count - i), load_lanes(x + i, count - i));
    store_lanes(residual + i, a, count - i);
    squares = fma(a, a, squares);
  }
  normalize(out, residual, weight, count, squares, eps);
}

// (a, b) becomes (a cos - b sin, a sin + b cos), with a rounding after each operation.
inline void rotate(float& a, float& b, float cosine, float sine) {
  const float rotated = a * cosine - b * sine;
  b = a * sine + b * cosine;
  a = rotated;
}

void rope_neighbours(float* values, int32_t pairs, const float* cosines, const float* sines) {
  int32_t i = 0;
  for (; i + 8 <= pairs; i += 8) {
    const F a = load(values + 2 * i);
    store(values + 2 * i,
          subtract_add(mul(a, load_twice(cosines + i)), mul(swap_pairs(a), load_twice(sines + i))));
  }
  for (; i < pairs; ++i) rotate(values[2 * i], values[2 * i + 1], cosines[i], sines[i]);
}

void rope_halves(float* values, int32_t pairs, const float* cosines, const float* sines) {
  float* other = values + pairs;
  int32_t i = 0;
  for (; i + 16 <= pairs; i += 16) {
    const F a = load(values + i), b = load(other + i);
    const F cosine = load(cosines + i), sine = load(sines + i);
    store(values + i, sub(mul(a, cosine), mul(b, sine)));
    store(other + i, add(mul(a, sine), mul(b, cosine)));
  }
  for (; i < pairs; ++i) rotate(values[i], other[i], cosines[i], sines[i]);
}

void rope(float* inout, int32_t heads, int32_t head_dim, int32_t pairs, bool interleaved,
          const float* cosines, const float* sines) {
  const auto turn = interleaved ? rope_neighbours : rope_halves;
  for (int32_t h = 0; h < heads; ++h) {
    turn(inout + static_cast<ptrdiff_t>(h) * head_dim, pairs, cosines, sines);
  }
}

// Blocks below this magnitude count as zero: 127 / magnitude would leave the range of floats.
constexpr float kSmallestBlock = 0x1p-100f;

inline float largest_magnitude(F a, F b) {
  // Compared as integers, magnitudes order as they do as floats, and NaN is above infinity.
  return __builtin_bit_cast(float, largest(max(bits(absolute(a)), bits(absolute(b)))));
}

inline void quantize_block(F a, F b, float magnitude, int8_t* q, ActivationBlock& block) {
  const bool finite = magnitude < __builtin_inff();
  if (!finite || magnitude < kSmallestBlock) {
    store_i8(q, set_int(0));
    store_i8(q + 16, set_int(0));
    block = {finite ? 0.0f : __builtin_nanf(""), finite ? 0.0f : __builtin_nanf(""), 0.0f, 0.0f};
    return;
  }
  const F inverse = set(127.0f / magnitude);
  const I first = round_to_int(mul(a, inverse)), second = round_to_int(mul(b, inverse));
  store_i8(q, first);
  store_i8(q + 16, second);
  block.scale = magnitude / 127.0f;
  block.first_sum = static_cast<float>(sum(first));
  block.sum = block.first_sum + static_cast<float>(sum(second));
  block.scaled_sum = block.scale * block.sum;
}

// Whether one value is all that reaches 1 / kOutlierRatio of the block's largest magnitude.
inline bool has_outlier(F a, F b, float magnitude) {
  const F limit = set(magnitude / kOutlierRatio);
  const int32_t below = count_less(absolute(a), limit) + count_less(absolute(b), limit);
  return magnitude >= kSmallestBlock && magnitude < __builtin_inff() && below == kBlock - 1;
}

// Copies a block but for its largest value, which becomes zero; returns where that was.
inline int32_t take_largest(const float* x, float (&rest)[kBlock]) {
  int32_t found = 0;
  for (int32_t k = 0; k < kBlock; ++k) {
    rest[k] = x[k];
    if (__builtin_fabsf(x[k]) > __builtin_fabsf(x[found])) found = k;
  }
  rest[found] = 0.0f;
  return found;
}

void quantize(const float* x, int32_t count, std::byte* row) {
  ActivationBlock* block = blocks_of(row, count);
  Outlier* outlier = outliers_of(row, count);
  for (int32_t i = 0; i < count; i += kBlock) {
    F a = load(x + i), b = load(x + i + 16);
    float magnitude = largest_magnitude(a, b);
    if (has_outlier(a, b, magnitude)) {
      float rest[kBlock];
      const int32_t input = i + take_largest(x + i, rest);
      *outlier++ = {input, x[input]};
      a = load(rest), b = load(rest + 16);
      magnitude = largest_magnitude(a, b);
    }
    quantize_block(a, b, magnitude, quants_of(row) + i, *block++);
  }
  *outlier = {kNoInput, 0.0f};
}

// To nearest even; NaN stays NaN.
inline void store(Bfloat* out, F a) {
  float lanes[16];
  store(lanes, a);
  for (int i = 0; i < 16; ++i) {
    const uint32_t value = __builtin_bit_cast(uint32_t, lanes[i]);
    const bool nan = (value & 0x7fffffff) > 0x7f800000;
    const uint32_t rounded = nan ? value | 0x400000 : value + 0x7fff + (value >> 16 & 1);
    out[i].bits = static_cast<uint16_t>(rounded >> 16);
  }
}

template <typename T>
void store_kv_as(const KvRow& row, const float* x, int32_t count) {
  auto* target = reinterpret_cast<T*>(row.values);
  for (int32_t i = 0; i < count; i += 16) {
    const int32_t lanes = count - i < 16 ? count - i : 16;
    T values[16];
    store(values, load_lanes(x + i, lanes));
    for (int32_t j = 0; j < lanes; ++j) target[(i + j) * row.stride] = values[j];
  }
}

void store_kv_i8(const KvRow& row, const float* x, int32_t count) {
  I top = set_int(0);
  for (int32_t i = 0; i < count; i += 16) {
    top = max(top, bits(absolute(load_lanes(x + i, count - i))));
  }
  const float magnitude = __builtin_bit_cast(float, largest(top));
  const bool finite = magnitude < __builtin_inff(), zeros = !finite || magnitude < kSmallestBlock;
  *row.scale = !finite ? __builtin_nanf("") : zeros ? 0.0f : magnitude / 127.0f;
  const F inverse = set(zeros ? 0.0f : 127.0f / magnitude);
  auto* target = reinterpret_cast<int8_t*>(row.values);
  for (int32_t i = 0; i < count; i += 16) {
    const int32_t lanes = count - i < 16 ? count - i : 16;
    int8_t values[16];
    store_i8(values, zeros ? set_int(0) : round_to_int(mul(load_lanes(x + i, lanes), inverse)));
    for (int32_t j = 0; j < lanes; ++j) target[(i + j) * row.stride] = values[j];
  }
}

void store_kv(const KvRow& row, const float* x, int32_t count, KvType type) {
  switch (type) {
    case KvType::f32:
      return store_kv_as<float>(row, x, count);
    case KvType::f16:
      return store_kv_as<Half>(row, x, count);
    case KvType::bf16:
      return store_kv_as<Bfloat>(row, x, count);
    case KvType::i8:
      return store_kv_i8(row, x, count);
  }
}

}  // namespace
}  // namespace bessemer::kernels
