// Products of few rows on tensor cores: what those with quantised and with bf16 weights share. Lane l = 4 g + t.
#pragma once
#include <cuda_bf16.h>

#include "kernels/cuda/products.h"
#include "kernels/cuda/tiles.h"

namespace bessemer::cuda {

// K is dealt to the warps of a block in turn, a tile of 64 inputs each, whatever the number of rows.
constexpr int kWarps = 8;

__device__ inline uint32_t bits_of(__nv_bfloat162 v) {
  return *reinterpret_cast<const uint32_t*>(&v);
}
__device__ inline __nv_bfloat162 pair_of(uint32_t v) {
  return *reinterpret_cast<const __nv_bfloat162*>(&v);
}

// c[16 outputs, 8 rows] += a[16, 16] b[16, 8]
__device__ inline void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// A block of 32 inputs of eight rows of x.
struct Inputs {
  uint4 hi = {0, 0, 0, 0}, lo = {0, 0, 0, 0};
  float4 sums = {0, 0, 0, 0};  // rows 2 t and 2 t + 1, halves 0 and 1
};

// kSums: the product needs them.
template <bool kSums>
__device__ Inputs load_inputs(const SplitRows& x, int32_t block, int n, int lane) {
  const int64_t item = static_cast<int64_t>(block) * x.n_tiles() + n;
  Inputs in;
  if (n * 8 + lane / 4 < x.rows) {
    in.hi = __ldg(x.parts + item * 64 + lane);
    in.lo = __ldg(x.parts + item * 64 + 32 + lane);
  }
  if constexpr (kSums)
    in.sums = __ldg(reinterpret_cast<const float4*>(x.sums + item * 16) + lane % 4);
  return in;
}

// Joins the warps' sums in their order and writes them. A lane's sums: [r][n][4], 4: outputs g, g, g + 8, g + 8 of rows 2 t,
// 2 t + 1 in turn.
template <int kR, int kN>
__device__ void join_warps(float (&acc)[kR][kN][4], Rows out, int32_t rows, int32_t outputs,
                           const float* bias) {
  constexpr int kValues = kR * kN * 4;
  __shared__ float sums[kWarps][kValues][32];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
  for (int i = 0; i < kValues; ++i) sums[warp][i][lane] = acc[i / (4 * kN)][i / 4 % kN][i % 4];
  __syncthreads();
  for (int i = threadIdx.x; i < kValues * 32; i += kWarps * 32) {
    const int value = i / 32, l = i % 32, c = value % 4, n = value / 4 % kN, r = value / (4 * kN);
    const int32_t output =
        (static_cast<int32_t>(blockIdx.x) * kR + r) * kTileRows + l / 4 + c / 2 * 8;
    const int32_t row = n * 8 + l % 4 * 2 + c % 2;
    if (output >= outputs || row >= rows) continue;
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < kWarps; ++k) sum += sums[k][value][l];
    out.data[static_cast<int64_t>(row) * out.stride + output] = bias ? sum + bias[output] : sum;
  }
}

}  // namespace bessemer::cuda
