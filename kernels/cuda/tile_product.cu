// out = x w^T for quantised weights and few rows: mma.m16n8k16 over quants as exact bf16 integers, scales applied to the f32
// sums of 16 or 32 inputs. So the weights are not rounded at all, and x only to hi + lo.
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/tile_format.cuh"

namespace bessemer::cuda {
namespace {

// (value & mask) | bits in one instruction; the compiler takes two for constants.
__device__ uint32_t masked_or(uint32_t value, uint32_t mask, uint32_t bits) {
  uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(result) : "r"(value), "r"(mask), "r"(bits));
  return result;
}

// Two quants less their offset, as bf16; exact. 0x4300 is 128, whose last place is 1, so or-ing adds. Arguments as
// quant_pair's.
template <TensorType kType>
__device__ uint32_t bf16_quants(const LaneQuants<kType>& q, int p, int hi, int s) {
  using F = Format<kType>;
  constexpr uint32_t k128 = 0x43004300u, kOffset = k128 + 0x00010001u * F::kOffset;
  if constexpr (F::kBytes) {
    const uint32_t pair = quant_pair<kType>(q, p, hi, s);
    const uint32_t low = masked_or(pair, 0x007f007fu, k128);  // 128 + (q & 127)
    const uint32_t high = (pair & 0x00800080u) * 0x86u;       // 128 where q has bit 7, else 0
    const __nv_bfloat162 signed_low = __hsub2(pair_of(low), pair_of(0x43804380u));  // - 256
    return bits_of(__hadd2(signed_low, pair_of(high)));
  } else if constexpr (F::kTwos || F::kOnes) {
    return bits_of(__hsub2(pair_of(quant_pair<kType>(q, p, hi, s) | k128), pair_of(kOffset)));
  } else {
    const uint32_t nibbles = word_of(q.nibbles, p * 2 + hi) >> (4 * s);
    return bits_of(__hsub2(pair_of(masked_or(nibbles, 0x000f000fu, k128)), pair_of(kOffset)));
  }
}

// A warp a block of 32 inputs and an n tile.
__global__ void split_kernel(SplitRows to, ConstRows x, int32_t items) {
  begin_kernel();
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int32_t item = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (item >= items) return;
  const int32_t block = item / to.n_tiles(), row = item % to.n_tiles() * 8 + g;
  const bool inside = row < x.rows && block * 32 < x.cols;
  const float* from =
      x.data + static_cast<int64_t>(inside ? row : 0) * x.stride + block * 32 + 4 * t;
  uint32_t hi[4], lo[4];
#pragma unroll
  for (int j = 0; j < 2; ++j) {
    float v[4], rest[4], sum = 0.0f;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      v[i] = inside ? from[16 * j + i] : 0.0f;
      rest[i] = v[i] - __bfloat162float(__float2bfloat16_rn(v[i]));
      sum += v[i];
    }
    hi[2 * j] = bits_of(__floats2bfloat162_rn(v[0], v[1]));
    hi[2 * j + 1] = bits_of(__floats2bfloat162_rn(v[2], v[3]));
    lo[2 * j] = bits_of(__floats2bfloat162_rn(rest[0], rest[1]));
    lo[2 * j + 1] = bits_of(__floats2bfloat162_rn(rest[2], rest[3]));
    sum += __shfl_xor_sync(~0u, sum, 1);
    sum += __shfl_xor_sync(~0u, sum, 2);
    if (t == 0) to.sums[(static_cast<int64_t>(item) * 8 + g) * 2 + j] = sum;
  }
  uint4* parts = to.parts + static_cast<int64_t>(item) * 64 + lane;
  parts[0] = {hi[0], hi[1], hi[2], hi[3]};
  parts[32] = {lo[0], lo[1], lo[2], lo[3]};
}

// What a lane needs of one tile of the weight.
template <TensorType kType>
struct Loaded {
  LaneQuants<kType> quants;
  LaneScales<kType> scales;
};

template <TensorType kType>
__device__ Loaded<kType> load_tile(const Tiles& w, int32_t row_tile, int32_t k_tile, int lane) {
  return {load_quants<kType>(w, static_cast<int64_t>(row_tile) * w.k_tiles() + k_tile, lane),
          load_scales<kType>(w, row_tile, k_tile, lane / 4)};
}

template <TensorType kType>
constexpr bool kHasMin = Format<kType>::kPlusMin || Format<kType>::kMinusMin;

// A block of 32 inputs of the weight: quants as the mma's operands, and the scales of rows g and g + 8.
template <TensorType kType>
struct Operand {
  uint32_t a[2][4];                            // [half]
  ScaleMin scales[2][Format<kType>::kHalves];  // [row g, g + 8][half]
};

template <TensorType kType>
__device__ Operand<kType> operand_of(const Loaded<kType>& w, int p) {
  Operand<kType> o;
#pragma unroll
  for (int j = 0; j < 2; ++j) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      o.a[j][2 * h] = bf16_quants<kType>(w.quants, p, 0, 2 * j + h);
      o.a[j][2 * h + 1] = bf16_quants<kType>(w.quants, p, 1, 2 * j + h);
    }
  }
#pragma unroll
  for (int hi = 0; hi < 2; ++hi) {
#pragma unroll
    for (int half = 0; half < Format<kType>::kHalves; ++half)
      o.scales[hi][half] = w.scales.at(p, hi, half);
  }
  return o;
}

// acc += 16 outputs times 8 rows over 32 inputs.
template <TensorType kType>
__device__ void multiply(float (&acc)[4], const Operand<kType>& w, const Inputs& x) {
  using F = Format<kType>;
  constexpr int kSecond = F::kHalves - 1;  // which sums take the other half
  float c[2][4] = {};
  mma(c[0], w.a[0], x.hi.x, x.hi.y);
  mma(c[0], w.a[0], x.lo.x, x.lo.y);
  mma(c[kSecond], w.a[1], x.hi.z, x.hi.w);
  mma(c[kSecond], w.a[1], x.lo.z, x.lo.w);
#pragma unroll
  for (int half = 0; half < F::kHalves; ++half) {
#pragma unroll
    for (int i = 0; i < 4; ++i) acc[i] = fmaf(w.scales[i / 2][half].scale, c[half][i], acc[i]);
  }
  if constexpr (kHasMin<kType>) {
    constexpr float kSign = F::kPlusMin ? 1.0f : -1.0f;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float first = i % 2 ? x.sums.z : x.sums.x, second = i % 2 ? x.sums.w : x.sums.y;
      if constexpr (F::kHalves == 1) {
        acc[i] = fmaf(kSign * w.scales[i / 2][0].min, first + second, acc[i]);
      } else {
        acc[i] = fmaf(kSign * w.scales[i / 2][0].min, first, acc[i]);
        acc[i] = fmaf(kSign * w.scales[i / 2][kSecond].min, second, acc[i]);
      }
    }
  }
}

// A block: kR tiles of 16 outputs, all of K dealt to its warps. Weights of kDepth tiles, the first ones before x is there, and
// of few rows the next inputs are on their way while one tile is multiplied.
template <TensorType kType, int kN, int kR>
__global__ void __launch_bounds__(kWarps * 32)
    product_kernel(Rows out, SplitRows x, Tiles w, const float* bias) {
  constexpr bool kInputsAhead = kN == 1;
  constexpr int kDepth = kN * kR == 1 ? 3 : 1;  // more would cost blocks a multiprocessor
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int32_t k_tiles = w.k_tiles();
  float acc[kR][kN][4] = {};
  // Rows behind the last tile repeat it; they are not written.
  int32_t tile_of[kR];
#pragma unroll
  for (int r = 0; r < kR; ++r)
    tile_of[r] = min(static_cast<int32_t>(blockIdx.x) * kR + r, w.row_tiles() - 1);
  Loaded<kType> ahead[kDepth][kR];
  const auto load_weights = [&](Loaded<kType>(&to)[kR], int32_t k_tile) {
    if (k_tile >= k_tiles) return;
#pragma unroll
    for (int r = 0; r < kR; ++r) to[r] = load_tile<kType>(w, tile_of[r], k_tile, lane);
  };
  Inputs next_x[2];
  const auto load_x = [&](int32_t k_tile) {
    if constexpr (kInputsAhead) {
      if (k_tile >= k_tiles) return;
#pragma unroll
      for (int p = 0; p < 2; ++p)
        next_x[p] = load_inputs<kHasMin<kType>>(x, 2 * k_tile + p, 0, lane);
    }
  };
  let_next_start();
#pragma unroll
  for (int i = 0; i < kDepth; ++i) load_weights(ahead[i], warp + i * kWarps);
  wait_for_stream();
  load_x(warp);
  for (int32_t first = warp; first < k_tiles; first += kDepth * kWarps) {
#pragma unroll
    for (int i = 0; i < kDepth; ++i) {
      const int32_t k_tile = first + i * kWarps;
      if (k_tile >= k_tiles) break;
      Loaded<kType> now[kR];
      const Inputs now_x[2] = {next_x[0], next_x[1]};
#pragma unroll
      for (int r = 0; r < kR; ++r) now[r] = ahead[i][r];
      load_weights(ahead[i], k_tile + kDepth * kWarps);
      load_x(k_tile + kWarps);
#pragma unroll
      for (int p = 0; p < 2; ++p) {
        Operand<kType> operand[kR];
#pragma unroll
        for (int r = 0; r < kR; ++r) operand[r] = operand_of<kType>(now[r], p);
#pragma unroll
        for (int n = 0; n < kN; ++n) {
          const Inputs inputs =
              kInputsAhead ? now_x[p] : load_inputs<kHasMin<kType>>(x, 2 * k_tile + p, n, lane);
#pragma unroll
          for (int r = 0; r < kR; ++r) multiply<kType>(acc[r][n], operand[r], inputs);
        }
      }
    }
  }
  join_warps<kR, kN>(acc, out, x.rows, w.rows, bias);
}

template <TensorType kType, int kN, int kR>
void launch(Rows out, const SplitRows& x, const Tiles& w, const float* bias, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(ceil_div(w.row_tiles(), kR));
  launch_kernel(product_kernel<kType, kN, kR>, blocks, kWarps * 32, 0, stream, out, x, w, bias);
}

}  // namespace

size_t split_parts_bytes(int32_t rows, int32_t cols) {
  const int64_t items = ceil_div(cols, kTileInputs) * 2 * ceil_div(rows, 8);
  return static_cast<size_t>(items) * 64 * sizeof(uint4);
}

size_t split_sums_bytes(int32_t rows, int32_t cols) {
  const int64_t items = ceil_div(cols, kTileInputs) * 2 * ceil_div(rows, 8);
  return static_cast<size_t>(items) * 16 * sizeof(float);
}

void split_rows(const SplitRows& to, const ConstRows& x, cudaStream_t stream) {
  if (x.rows <= 0) return;
  const auto items = static_cast<int32_t>(ceil_div(x.cols, kTileInputs) * 2 * to.n_tiles());
  launch_kernel(split_kernel, static_cast<unsigned>(ceil_div(items, 4)), 128, 0, stream, to, x,
                items);
}

void tile_product(Rows out, const SplitRows& x, const Tiles& w, const float* bias,
                  cudaStream_t stream) {
  if (x.rows <= 0) return;
  // Two tiles a block share what they read of x; with up to two blocks a multiprocessor more loads
  // on their way are worth more (measured on an H100, 4096 x 14336 against 6144 x 4096).
  constexpr int32_t kFewTiles = 264;
  const bool two = w.row_tiles() > kFewTiles;
  with_format(w.type, [&]<TensorType kType>() {
    if (x.rows <= 8) {
      if (two) return launch<kType, 1, 2>(out, x, w, bias, stream);
      return launch<kType, 1, 1>(out, x, w, bias, stream);
    }
    if (x.rows <= 16) return launch<kType, 2, 2>(out, x, w, bias, stream);
    if (x.rows <= 32) return launch<kType, 4, 1>(out, x, w, bias, stream);
    launch<kType, 8, 1>(out, x, w, bias, stream);
  });
}

}  // namespace bessemer::cuda
