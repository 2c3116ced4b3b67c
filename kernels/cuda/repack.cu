// Quantised weights: from the file's blocks to tiles, and from tiles to bf16 or f32 rows.
#include <cuda_bf16.h>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/tile_format.cuh"

namespace bessemer::cuda {
namespace {

constexpr int kThreads = 128;

// Field readers of the file's blocks, which are not aligned. `block`: first byte of the block that holds input k; `k`: the
// input's index in it. Layouts: GGUF.
__device__ uint32_t u16_at(const uint8_t* bytes) {
  return bytes[0] | bytes[1] << 8;
}
__device__ uint32_t u32_at(const uint8_t* bytes) {
  return u16_at(bytes) | u16_at(bytes + 2) << 16;
}

template <TensorType kType>
__device__ uint32_t quant_in_file(const uint8_t* block, int k) {
  if constexpr (kType == TensorType::q4_0 || kType == TensorType::q4_1) {
    const uint8_t* q = block + (kType == TensorType::q4_0 ? 2 : 4);
    return k < 16 ? q[k] & 0xf : q[k - 16] >> 4;
  } else if constexpr (kType == TensorType::q5_0 || kType == TensorType::q5_1) {
    const uint8_t* high = block + (kType == TensorType::q5_0 ? 2 : 4);
    const uint8_t* q = high + 4;
    return (k < 16 ? q[k] & 0xf : q[k - 16] >> 4) | ((u32_at(high) >> k) & 1) << 4;
  } else if constexpr (kType == TensorType::q8_0) {
    return block[2 + k] ^ 0x80;  // int8 + 128
  } else if constexpr (kType == TensorType::q2_k) {
    return (block[16 + k / 128 * 32 + k % 32] >> (k % 128 / 32 * 2)) & 3;
  } else if constexpr (kType == TensorType::q3_k) {
    const uint32_t low = (block[32 + k / 128 * 32 + k % 32] >> (k % 128 / 32 * 2)) & 3;
    return low | ((block[k % 32] >> (k / 32)) & 1) << 2;
  } else if constexpr (kType == TensorType::q4_k) {
    return (block[16 + k / 64 * 32 + k % 32] >> (k % 64 / 32 * 4)) & 0xf;
  } else if constexpr (kType == TensorType::q5_k) {
    const uint32_t low = (block[48 + k / 64 * 32 + k % 32] >> (k % 64 / 32 * 4)) & 0xf;
    return low | ((block[16 + k % 32] >> (k / 32)) & 1) << 4;
  } else {  // q6_k
    const uint32_t low = (block[k / 128 * 64 + k % 64] >> (k % 128 / 64 * 4)) & 0xf;
    return low | ((block[128 + k / 128 * 32 + k % 32] >> (k % 128 / 32 * 2)) & 3) << 4;
  }
}

// The 6-bit scale of 16 inputs in Q3_K's 12 bytes, less 32.
__device__ uint32_t q3_k_scale(const uint8_t* scales, int group) {
  const int low = group < 8 ? scales[group] & 0xf : scales[group - 8] >> 4;
  const int high = (scales[8 + group % 4] >> (group / 4 * 2)) & 3;
  return static_cast<uint32_t>((low | high << 4) - 32) & 0xff;
}

// Scale and minimum of 32 inputs in the 12 bytes of Q4_K and Q5_K, as two bytes.
__device__ uint32_t q45_k_scale(const uint8_t* scales, int group) {
  const int g = group % 4;
  if (group < 4) return (scales[g] & 0x3f) | (scales[4 + g] & 0x3f) << 8;
  const uint32_t scale = (scales[8 + g] & 0xf) | ((scales[g] >> 2) & 0x30);
  return scale | ((scales[8 + g] >> 4) | ((scales[4 + g] >> 2) & 0x30)) << 8;
}

// The 16 bits of the plane `scales` for 32-input block `b` of the file's block.
template <TensorType kType>
__device__ uint32_t scale_in_file(const uint8_t* block, int b) {
  if constexpr (!Format<kType>::kSuper) return u16_at(block);
  if constexpr (kType == TensorType::q2_k) return u16_at(block + 2 * b);
  if constexpr (kType == TensorType::q3_k) {
    return q3_k_scale(block + 96, 2 * b) | q3_k_scale(block + 96, 2 * b + 1) << 8;
  }
  if constexpr (kType == TensorType::q6_k) return u16_at(block + 192 + 2 * b);
  return q45_k_scale(block + 4, b);
}

// d in the low half, dmin in the high one.
template <TensorType kType>
__device__ uint32_t super_in_file(const uint8_t* block) {
  if constexpr (kType == TensorType::q2_k) return u32_at(block + 80);
  if constexpr (kType == TensorType::q3_k) return u16_at(block + 108);
  if constexpr (kType == TensorType::q6_k) return u16_at(block + 208);
  return u32_at(block);
}

// A thread makes what one lane holds of one tile.
template <TensorType kType>
__global__ void repack_kernel(Tiles to, const uint8_t* raw, int64_t tiles) {
  using F = Format<kType>;
  constexpr int kBlock = F::kSuper ? 256 : 32;
  const int64_t index = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t tile = index / 32;
  if (tile >= tiles) return;
  const int lane = static_cast<int>(index % 32), g = lane / 4, t = lane % 4;
  const int32_t row_tile = static_cast<int32_t>(tile / to.k_tiles());
  const int32_t k_tile = static_cast<int32_t>(tile % to.k_tiles());
  const int64_t row_bytes = static_cast<int64_t>(to.cols / kBlock) * F::kBlockBytes;
  uint32_t nibbles[4] = {}, twos[2] = {}, ones = 0, bytes[2][4] = {};
  for (int p = 0; p < 2; ++p) {
    for (int hi = 0; hi < 2; ++hi) {
      const int32_t row = row_tile * kTileRows + g + 8 * hi, first = k_tile * kTileInputs + 32 * p;
      const bool inside = row < to.rows && first < to.cols;
      const uint8_t* block = raw + (inside ? row * row_bytes + first / kBlock * F::kBlockBytes : 0);
      for (int j = 0; inside && j < 2; ++j) {
        for (int i = 0; i < 4; ++i) {
          const uint32_t q = quant_in_file<kType>(block, first % kBlock + 16 * j + 4 * t + i);
          const int s = 2 * j + i / 2, e = i % 2;
          nibbles[p * 2 + hi] |= (q & 0xf) << (4 * (s + 4 * e));
          twos[p] |= (F::kNibbles ? q >> 4 & 3 : q & 3) << (16 * e + 2 * (4 * hi + s));
          ones |= (F::kNibbles ? q >> 4 & 1 : q >> 2 & 1) << (16 * e + 8 * p + 4 * hi + s);
          bytes[p][hi * 2 + j] |= (q & 0xff) << (8 * (i / 2 + 2 * e));
        }
      }
      if (t == 0) {
        const int64_t at = (tile * 8 + g) * 4 + p * 2 + hi;
        to.scales[at] =
            static_cast<uint16_t>(inside ? scale_in_file<kType>(block, first % kBlock / 32) : 0);
        if constexpr (F::kPlusMin)
          to.mins[at] = static_cast<uint16_t>(inside ? u16_at(block + 2) : 0);
        if (F::kSuper && p == 0 && k_tile % 4 == 0) {
          const int64_t super = static_cast<int64_t>(row_tile) * to.super_blocks() + k_tile / 4;
          to.supers[(super * 8 + g) * 2 + hi] = inside ? super_in_file<kType>(block) : 0;
        }
      }
    }
  }
  const int64_t at = tile * 32 + lane;
  for (int i = 0; i < 4; ++i) {
    if constexpr (F::kNibbles) to.nibbles[at * 4 + i] = nibbles[i];
    if constexpr (F::kBytes) {
      to.bytes[(tile * 64 + lane) * 4 + i] = bytes[0][i];
      to.bytes[(tile * 64 + 32 + lane) * 4 + i] = bytes[1][i];
    }
  }
  if constexpr (F::kTwos) {
    to.twos[at * 2] = twos[0];
    to.twos[at * 2 + 1] = twos[1];
  }
  if constexpr (F::kOnes) to.ones[at] = ones;
}

// The four values i = 0..3 of half j, block parity p, row g + 8 hi.
template <TensorType kType>
__device__ float4 lane_values(const LaneQuants<kType>& q, const LaneScales<kType>& scales, int p,
                              int hi, int j) {
  const ScaleMin s = scales.at(p, hi, j);
  const uint32_t a = quant_pair<kType>(q, p, hi, 2 * j), b = quant_pair<kType>(q, p, hi, 2 * j + 1);
  return {value_of<kType>(a & 0xffff, s), value_of<kType>(a >> 16, s),
          value_of<kType>(b & 0xffff, s), value_of<kType>(b >> 16, s)};
}

__device__ uint32_t bf16_pair(float a, float b) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// A warp a tile; rows [first_row, first_row + rows) become out[0..rows).
template <TensorType kType>
__global__ void to_bf16_kernel(uint16_t* out, int32_t stride, Tiles w, int32_t first_row,
                               int32_t rows) {
  begin_kernel();
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int32_t k_tile = blockIdx.x * (kThreads / 32) + threadIdx.x / 32;
  const int32_t row_tile = first_row / kTileRows + blockIdx.y;
  if (k_tile >= w.k_tiles()) return;
  const auto q = load_quants<kType>(w, static_cast<int64_t>(row_tile) * w.k_tiles() + k_tile, lane);
  const auto scales = load_scales<kType>(w, row_tile, k_tile, g);
#pragma unroll
  for (int hi = 0; hi < 2; ++hi) {
    const int32_t row = row_tile * kTileRows + g + 8 * hi - first_row;
    if (row < 0 || row >= rows) continue;
#pragma unroll
    for (int pj = 0; pj < 4; ++pj) {
      const int p = pj / 2, j = pj % 2;
      const int32_t col = k_tile * kTileInputs + 32 * p + 16 * j + 4 * t;
      if (col + 4 > stride) continue;
      const float4 v = lane_values<kType>(q, scales, p, hi, j);
      *reinterpret_cast<uint2*>(out + static_cast<int64_t>(row) * stride + col) = {
          bf16_pair(v.x, v.y), bf16_pair(v.z, v.w)};
    }
  }
}

// A block an output row; threads take groups of four inputs.
template <TensorType kType>
__global__ void embed_kernel(Rows out, const int32_t* ids, Tiles w, int32_t first_row) {
  begin_kernel();
  const int32_t row = ids[blockIdx.x] - first_row;
  if (row < 0 || row >= w.rows) return;
  const int r = row % kTileRows, g = r % 8, hi = r / 8;
  float* to = out.data + static_cast<int64_t>(blockIdx.x) * out.stride;
  for (int32_t col = 4 * threadIdx.x; col < w.cols; col += 4 * kThreads) {
    const int p = col % kTileInputs / 32, j = col % 32 / 16, t = col % 16 / 4;
    const int32_t k_tile = col / kTileInputs, row_tile = row / kTileRows;
    const auto q =
        load_quants<kType>(w, static_cast<int64_t>(row_tile) * w.k_tiles() + k_tile, 4 * g + t);
    const auto scales = load_scales<kType>(w, row_tile, k_tile, g);
    const float4 v = lane_values<kType>(q, scales, p, hi, j);
    to[col] = v.x;
    to[col + 1] = v.y;
    to[col + 2] = v.z;
    to[col + 3] = v.w;
  }
}

// Bytes of each plane, in the order of Tiles' members.
struct PlaneBytes {
  size_t nibbles, twos, ones, bytes, scales, mins, supers;
};
PlaneBytes plane_bytes(const Tiles& w) {
  PlaneBytes size{};
  with_format(w.type, [&]<TensorType kType>() {
    using F = Format<kType>;
    const size_t tiles = static_cast<size_t>(w.row_tiles()) * static_cast<size_t>(w.k_tiles());
    const size_t supers =
        static_cast<size_t>(w.row_tiles()) * static_cast<size_t>(w.super_blocks());
    size.nibbles = F::kNibbles ? tiles * 512 : 0;
    size.twos = F::kTwos ? tiles * 256 : 0;
    size.ones = F::kOnes ? tiles * 128 : 0;
    size.bytes = F::kBytes ? tiles * 1024 : 0;
    size.scales = tiles * 64;
    size.mins = F::kPlusMin ? tiles * 64 : 0;
    size.supers = F::kSuper ? supers * 64 : 0;
  });
  return size;
}

constexpr size_t aligned(size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

}  // namespace

bool has_tiles(TensorType type) {
  return type != TensorType::f32 && type != TensorType::f16 && type != TensorType::bf16;
}

size_t tiles_bytes(TensorType type, int32_t rows, int32_t cols) {
  const PlaneBytes b = plane_bytes({.type = type, .rows = rows, .cols = cols});
  return aligned(b.nibbles) + aligned(b.twos) + aligned(b.ones) + aligned(b.bytes) +
         aligned(b.scales) + aligned(b.mins) + aligned(b.supers);
}

Tiles place_tiles(TensorType type, int32_t rows, int32_t cols, void* memory) {
  Tiles w{.type = type, .rows = rows, .cols = cols};
  const PlaneBytes b = plane_bytes(w);
  auto* at = static_cast<uint8_t*>(memory);
  const auto take = [&](auto*& plane, size_t bytes) {
    plane = bytes ? reinterpret_cast<std::remove_reference_t<decltype(plane)>>(at) : nullptr;
    at += aligned(bytes);
  };
  take(w.nibbles, b.nibbles);
  take(w.twos, b.twos);
  take(w.ones, b.ones);
  take(w.bytes, b.bytes);
  take(w.scales, b.scales);
  take(w.mins, b.mins);
  take(w.supers, b.supers);
  return w;
}

void repack(const Tiles& to, const uint8_t* raw, cudaStream_t stream) {
  with_format(to.type, [&]<TensorType kType>() {
    const int64_t tiles = static_cast<int64_t>(to.row_tiles()) * to.k_tiles();
    const auto blocks = static_cast<unsigned>(ceil_div(tiles * 32, kThreads));
    repack_kernel<kType><<<blocks, kThreads, 0, stream>>>(to, raw, tiles);
  });
}

void tiles_to_bf16(uint16_t* out, int32_t stride, const Tiles& w, int32_t first_row, int32_t rows,
                   cudaStream_t stream) {
  if (rows <= 0) return;
  with_format(w.type, [&]<TensorType kType>() {
    const int64_t row_tiles = ceil_div(first_row + rows, kTileRows) - first_row / kTileRows;
    const dim3 grid(static_cast<unsigned>(ceil_div(w.k_tiles(), kThreads / 32)),
                    static_cast<unsigned>(row_tiles));
    launch_kernel(to_bf16_kernel<kType>, grid, kThreads, 0, stream, out, stride, w, first_row,
                  rows);
  });
}

void embed_tiles(Rows out, const int32_t* ids, const Tiles& w, int32_t first_row,
                 cudaStream_t stream) {
  if (out.rows <= 0) return;
  with_format(w.type, [&]<TensorType kType>() {
    launch_kernel(embed_kernel<kType>, static_cast<unsigned>(out.rows), kThreads, 0, stream, out,
                  ids, w, first_row);
  });
}

}  // namespace bessemer::cuda
