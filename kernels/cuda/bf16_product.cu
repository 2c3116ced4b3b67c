// out = x w^T for bf16 weights and a few rows: mma.m16n8k16 with the weights as they lie, row after row, and x as hi + lo.
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/mma.cuh"

namespace bessemer::cuda {
namespace {

// A lane's part of 16 outputs x 64 inputs: of each block of 32 (p) and half (j) the values 16 j + 4 t ... of rows g and g + 8.
struct Loaded {
  uint2 values[2][2][2];  // [p][j][row g, g + 8]
};

__device__ Loaded load_tile(const uint16_t* const (&rows)[2], int32_t k_tile, int t) {
  Loaded w;
#pragma unroll
  for (int p = 0; p < 2; ++p) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
      for (int hi = 0; hi < 2; ++hi) {
        const uint16_t* from = rows[hi] + k_tile * kTileInputs + 32 * p + 16 * j + 4 * t;
        w.values[p][j][hi] = __ldg(reinterpret_cast<const uint2*>(from));
      }
    }
  }
  return w;
}

__device__ void multiply(float (&acc)[4], const Loaded& w, int p, const Inputs& x) {
#pragma unroll
  for (int j = 0; j < 2; ++j) {
    const uint2 low = w.values[p][j][0], high = w.values[p][j][1];
    const uint32_t a[4] = {low.x, high.x, low.y, high.y};
    mma(acc, a, j ? x.hi.z : x.hi.x, j ? x.hi.w : x.hi.y);
    mma(acc, a, j ? x.lo.z : x.lo.x, j ? x.lo.w : x.lo.y);
  }
}

// A block: 16 outputs, kN n tiles, all of K dealt to its warps; the next tile is on its way while one is multiplied.
template <int kN>
__global__ void __launch_bounds__(kWarps * 32)
    product_kernel(Rows out, SplitRows x, FloatWeight w, const float* bias) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
  const int32_t k_tiles = w.cols / kTileInputs;
  const auto row_at =
      [&](int32_t output) {  // outputs behind the last repeat it; they are not written
        return static_cast<const uint16_t*>(w.data) +
               static_cast<int64_t>(min(output, w.rows - 1)) * w.stride;
      };
  const int32_t first = static_cast<int32_t>(blockIdx.x) * kTileRows + g;
  const uint16_t* const rows[2] = {row_at(first), row_at(first + 8)};
  float acc[1][kN][4] = {};
  Loaded next;
  Inputs next_x[2][kN];
  const auto load_weights = [&](int32_t k_tile) {
    if (k_tile < k_tiles) next = load_tile(rows, k_tile, t);
  };
  const auto load_x = [&](int32_t k_tile) {
    if (k_tile >= k_tiles) return;
#pragma unroll
    for (int i = 0; i < 2 * kN; ++i)
      next_x[i / kN][i % kN] = load_inputs<false>(x, 2 * k_tile + i / kN, i % kN, lane);
  };
  let_next_start();
  load_weights(warp);
  wait_for_stream();
  load_x(warp);
  for (int32_t k_tile = warp; k_tile < k_tiles; k_tile += kWarps) {
    const Loaded now = next;
    Inputs now_x[2][kN];
#pragma unroll
    for (int i = 0; i < 2 * kN; ++i) now_x[i / kN][i % kN] = next_x[i / kN][i % kN];
    load_weights(k_tile + kWarps);
    load_x(k_tile + kWarps);
#pragma unroll
    for (int p = 0; p < 2; ++p) {
#pragma unroll
      for (int n = 0; n < kN; ++n) multiply(acc[0][n], now, p, now_x[p][n]);
    }
  }
  join_warps<1, kN>(acc, out, x.rows, w.rows, bias);
}

}  // namespace

bool bf16_product_fits(const FloatWeight& w) {
  return w.type == TensorType::bf16 && w.cols % kTileInputs == 0;
}

void bf16_product(Rows out, const SplitRows& x, const FloatWeight& w, const float* bias,
                  cudaStream_t stream) {
  if (x.rows <= 0) return;
  const auto blocks = static_cast<unsigned>(ceil_div(w.rows, kTileRows));
  if (x.rows <= 8) {
    launch_kernel(product_kernel<1>, blocks, kWarps * 32, 0, stream, out, x, w, bias);
  } else {
    launch_kernel(product_kernel<2>, blocks, kWarps * 32, 0, stream, out, x, w, bias);
  }
}

}  // namespace bessemer::cuda
