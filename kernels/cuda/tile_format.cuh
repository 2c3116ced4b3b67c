// The formats of blocks: how the file's bytes are read, and what a quant means.
#pragma once
#include <cuda_fp16.h>

#include "kernels/cuda/tiles.h"

namespace bessemer::cuda {

// value = scale * (quant - kOffset), then + min (kPlusMin) or - min (kMinusMin). kSuper: scale and min are small integers
// times the f16 pair of 256 inputs. kHalves: scales per block of 32 inputs.
template <TensorType kType>
struct Format;

struct SimpleFormat {
  static constexpr bool kNibbles = false, kTwos = false, kOnes = false, kBytes = false;
  static constexpr bool kPlusMin = false, kMinusMin = false, kSuper = false;
  static constexpr int kHalves = 1, kOffset = 0;
};
template <>
struct Format<TensorType::q4_0> : SimpleFormat {
  static constexpr bool kNibbles = true;
  static constexpr int kOffset = 8, kBlockBytes = 18;
};
template <>
struct Format<TensorType::q4_1> : SimpleFormat {
  static constexpr bool kNibbles = true, kPlusMin = true;
  static constexpr int kBlockBytes = 20;
};
template <>
struct Format<TensorType::q5_0> : SimpleFormat {
  static constexpr bool kNibbles = true, kOnes = true;
  static constexpr int kOffset = 16, kBlockBytes = 22;
};
template <>
struct Format<TensorType::q5_1> : SimpleFormat {
  static constexpr bool kNibbles = true, kOnes = true, kPlusMin = true;
  static constexpr int kBlockBytes = 24;
};
template <>
struct Format<TensorType::q8_0> : SimpleFormat {
  static constexpr bool kBytes = true;
  static constexpr int kOffset = 128, kBlockBytes = 34;
};
template <>
struct Format<TensorType::q2_k> : SimpleFormat {
  static constexpr bool kTwos = true, kMinusMin = true, kSuper = true;
  static constexpr int kHalves = 2, kBlockBytes = 84;
};
template <>
struct Format<TensorType::q3_k> : SimpleFormat {
  static constexpr bool kTwos = true, kOnes = true, kSuper = true;
  static constexpr int kHalves = 2, kOffset = 4, kBlockBytes = 110;
};
template <>
struct Format<TensorType::q4_k> : SimpleFormat {
  static constexpr bool kNibbles = true, kMinusMin = true, kSuper = true;
  static constexpr int kBlockBytes = 144;
};
template <>
struct Format<TensorType::q5_k> : SimpleFormat {
  static constexpr bool kNibbles = true, kOnes = true, kMinusMin = true, kSuper = true;
  static constexpr int kBlockBytes = 176;
};
template <>
struct Format<TensorType::q6_k> : SimpleFormat {
  static constexpr bool kNibbles = true, kTwos = true, kSuper = true;
  static constexpr int kHalves = 2, kOffset = 32, kBlockBytes = 210;
};

// Calls `f.template operator()<kType>()` for the run-time `type`, which must have tiles.
template <typename F>
void with_format(TensorType type, F&& f) {
  switch (type) {
    case TensorType::q4_0:
      return f.template operator()<TensorType::q4_0>();
    case TensorType::q4_1:
      return f.template operator()<TensorType::q4_1>();
    case TensorType::q5_0:
      return f.template operator()<TensorType::q5_0>();
    case TensorType::q5_1:
      return f.template operator()<TensorType::q5_1>();
    case TensorType::q8_0:
      return f.template operator()<TensorType::q8_0>();
    case TensorType::q2_k:
      return f.template operator()<TensorType::q2_k>();
    case TensorType::q3_k:
      return f.template operator()<TensorType::q3_k>();
    case TensorType::q4_k:
      return f.template operator()<TensorType::q4_k>();
    case TensorType::q5_k:
      return f.template operator()<TensorType::q5_k>();
    case TensorType::q6_k:
      return f.template operator()<TensorType::q6_k>();
    default:
      return;
  }
}

// The scale of 16 or 32 inputs, as floats are multiplied.
struct ScaleMin {
  float scale = 0, min = 0;
};

__device__ inline float half_bits(uint32_t bits) {
  return __half2float(__ushort_as_half(static_cast<unsigned short>(bits & 0xffff)));
}

// From what the planes hold of a row's block: `scale`, `min` 16 bits, `super` the f16 pair; `half` 0 or 1.
template <TensorType kType>
__device__ ScaleMin scale_min(uint32_t scale, uint32_t min, uint32_t super, int half) {
  using F = Format<kType>;
  if constexpr (!F::kSuper) {
    return {half_bits(scale), F::kPlusMin ? half_bits(min) : 0.0f};
  } else {
    const float d = half_bits(super);
    if constexpr (!F::kMinusMin) {  // signed bytes, one for each half
      const int s = static_cast<int8_t>((scale >> (8 * half)) & 0xff);
      return {d * static_cast<float>(s), 0.0f};
    } else {
      const float dmin = half_bits(super >> 16);
      if constexpr (F::kHalves == 2) {  // 4 bits of scale, 4 of minimum, one byte for each half
        const uint32_t byte = (scale >> (8 * half)) & 0xff;
        return {d * static_cast<float>(byte & 0xf), dmin * static_cast<float>(byte >> 4)};
      } else {  // a byte of scale, a byte of minimum
        return {d * static_cast<float>(scale & 0xff), dmin * static_cast<float>(scale >> 8)};
      }
    }
  }
}

// The value of a quant; the order of the float operations is the public reference's.
template <TensorType kType>
__device__ float value_of(int quant, ScaleMin s) {
  using F = Format<kType>;
  const float product = s.scale * static_cast<float>(quant - F::kOffset);
  if constexpr (F::kPlusMin) return product + s.min;
  if constexpr (F::kMinusMin) return product - s.min;
  return product;
}

// What one lane holds of one tile: planes as in tiles.h.
template <TensorType kType>
struct LaneQuants {
  uint4 nibbles;  // (p, hi)
  uint2 twos;     // (p)
  uint32_t ones;
  uint4 bytes[2];  // [p] (hi, j)
};

template <TensorType kType>
__device__ LaneQuants<kType> load_quants(const Tiles& w, int64_t tile, int lane) {
  using F = Format<kType>;
  LaneQuants<kType> q;
  if constexpr (F::kNibbles)
    q.nibbles = __ldg(reinterpret_cast<const uint4*>(w.nibbles) + tile * 32 + lane);
  if constexpr (F::kTwos) q.twos = __ldg(reinterpret_cast<const uint2*>(w.twos) + tile * 32 + lane);
  if constexpr (F::kOnes) q.ones = __ldg(w.ones + tile * 32 + lane);
  if constexpr (F::kBytes) {
    const auto* bytes = reinterpret_cast<const uint4*>(w.bytes) + tile * 64 + lane;
    q.bytes[0] = __ldg(bytes);
    q.bytes[1] = __ldg(bytes + 32);
  }
  return q;
}

__device__ inline uint32_t word_of(const uint4& v, int i) {
  return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}

// The unsigned quants i = 2 h and 2 h + 1 (s = 2 j + h) in the halves of a word. Arguments must be compile-time constants
// once unrolled.
template <TensorType kType>
__device__ uint32_t quant_pair(const LaneQuants<kType>& q, int p, int hi, int s) {
  using F = Format<kType>;
  if constexpr (F::kBytes)
    return (word_of(q.bytes[p], hi * 2 + s / 2) >> (8 * (s % 2))) & 0x00ff00ffu;
  uint32_t pair = 0;
  if constexpr (F::kNibbles) pair = (word_of(q.nibbles, p * 2 + hi) >> (4 * s)) & 0x000f000fu;
  if constexpr (F::kTwos) {
    const uint32_t twos = ((p ? q.twos.y : q.twos.x) >> (2 * (4 * hi + s))) & 0x00030003u;
    pair |= F::kNibbles ? twos << 4 : twos;
  }
  if constexpr (F::kOnes) {
    const uint32_t ones = (q.ones >> (8 * p + 4 * hi + s)) & 0x00010001u;
    pair |= ones << (F::kNibbles ? 4 : 2);
  }
  return pair;
}

// What one lane holds of a tile's scales: 16 bits for each (p, hi).
template <TensorType kType>
struct LaneScales {
  uint2 scales, mins;
  uint2 supers;  // (hi)

  __device__ ScaleMin at(int p, int hi, int half) const {
    const uint32_t s = (p ? scales.y : scales.x) >> (16 * hi),
                   m = (p ? mins.y : mins.x) >> (16 * hi);
    return scale_min<kType>(s & 0xffff, m & 0xffff, hi ? supers.y : supers.x, half);
  }
};

template <TensorType kType>
__device__ LaneScales<kType> load_scales(const Tiles& w, int32_t row_tile, int32_t k_tile, int g) {
  using F = Format<kType>;
  const int64_t tile = static_cast<int64_t>(row_tile) * w.k_tiles() + k_tile;
  LaneScales<kType> s{};
  s.scales = __ldg(reinterpret_cast<const uint2*>(w.scales) + tile * 8 + g);
  if constexpr (F::kPlusMin) s.mins = __ldg(reinterpret_cast<const uint2*>(w.mins) + tile * 8 + g);
  if constexpr (F::kSuper) {
    const int64_t super = static_cast<int64_t>(row_tile) * w.super_blocks() + k_tile / 4;
    s.supers = __ldg(reinterpret_cast<const uint2*>(w.supers) + super * 8 + g);
  }
  return s;
}

}  // namespace bessemer::cuda
