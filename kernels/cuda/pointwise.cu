#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/pointwise.h"
#include "kernels/cuda/rotate.cuh"

namespace bessemer::cuda {
namespace {

constexpr int kThreads = 256;

// The sum over a block of kWarps warps, the same in every thread: lanes by halves, then warps in order.
template <int kWarps>
__device__ float block_sum(float value) {
  __shared__ float sums[kWarps];
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(~0u, value, step);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  float total = 0.0f;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) total += sums[w];
  return total;
}

// Four values from `at` on, 0 behind `count`. kAligned: one load, and the row is a multiple of four.
template <bool kAligned>
__device__ float4 load_four(const float* row, int32_t at, int32_t count) {
  if constexpr (kAligned) return *reinterpret_cast<const float4*>(row + at);
  return {row[at], at + 1 < count ? row[at + 1] : 0.0f, at + 2 < count ? row[at + 2] : 0.0f,
          at + 3 < count ? row[at + 3] : 0.0f};
}
template <bool kAligned>
__device__ void store_four(float* row, int32_t at, int32_t count, float4 v) {
  if constexpr (kAligned) {
    *reinterpret_cast<float4*>(row + at) = v;
  } else {
    row[at] = v.x;
    if (at + 1 < count) row[at + 1] = v.y;
    if (at + 2 < count) row[at + 2] = v.z;
    if (at + 3 < count) row[at + 3] = v.w;
  }
}

// A block a row; kAdd: x joins the residual first. A thread squares four neighbours in order, then the next four of its own:
// the same sums whether or not the rows are aligned. Rows of up to kKept values a thread are read once.
constexpr int kNormThreads = 512;
template <bool kAdd, bool kAligned>
__global__ void __launch_bounds__(kNormThreads)
    norm_kernel(Rows out, Rows residual, ConstRows x, const float* w, float eps) {
  begin_kernel();
  constexpr int kKept = 4;  // fours: widths up to 8,192
  constexpr int kStep = 4 * kNormThreads;
  const int64_t row = blockIdx.x;
  const int32_t cols = out.cols, first = 4 * static_cast<int32_t>(threadIdx.x);
  const float* from = x.data + row * x.stride;
  float* sum = kAdd ? residual.data + row * residual.stride : nullptr;
  const auto value_at = [&](int32_t c) {
    float4 v = load_four<kAligned>(from, c, cols);
    if constexpr (kAdd) {
      const float4 s = load_four<kAligned>(sum, c, cols);
      v = {s.x + v.x, s.y + v.y, s.z + v.z, s.w + v.w};
    }
    return v;
  };
  float4 kept[kKept];
  float squares = 0.0f;
  const auto square = [&](const float4& v) {
    squares = fmaf(v.x, v.x, squares);
    squares = fmaf(v.y, v.y, squares);
    squares = fmaf(v.z, v.z, squares);
    squares = fmaf(v.w, v.w, squares);
  };
#pragma unroll
  for (int i = 0; i < kKept; ++i) {
    if (first + i * kStep < cols) kept[i] = value_at(first + i * kStep);
  }
#pragma unroll
  for (int i = 0; i < kKept; ++i) {
    const int32_t c = first + i * kStep;
    if (c >= cols) break;
    square(kept[i]);
    if constexpr (kAdd) store_four<kAligned>(sum, c, cols, kept[i]);
  }
  for (int32_t c = first + kKept * kStep; c < cols; c += kStep) {
    const float4 v = value_at(c);
    square(v);
    if constexpr (kAdd) store_four<kAligned>(sum, c, cols, v);
  }
  const float inverse =
      1.0f / sqrtf(block_sum<kNormThreads / 32>(squares) / static_cast<float>(cols) + eps);
  float* to = out.data + row * out.stride;
  const auto scale = [&](int32_t c, const float4& v) {
    const float4 by = load_four<kAligned>(w, c, cols);
    store_four<kAligned>(
        to, c, cols,
        {v.x * inverse * by.x, v.y * inverse * by.y, v.z * inverse * by.z, v.w * inverse * by.w});
  };
#pragma unroll
  for (int i = 0; i < kKept; ++i) {
    if (first + i * kStep < cols) scale(first + i * kStep, kept[i]);
  }
  const float* normed = kAdd ? sum : from;  // read again by the thread that wrote it
  for (int32_t c = first + kKept * kStep; c < cols; c += kStep)
    scale(c, load_four<kAligned>(normed, c, cols));
}

bool aligned(const ConstRows& r) {
  return reinterpret_cast<uintptr_t>(r.data) % 16 == 0 && r.stride % 4 == 0 && r.cols % 4 == 0;
}

__device__ float activate(float x, GateKind kind) {
  switch (kind) {
    case GateKind::silu:
      return x / (1.0f + expf(-x));
    case GateKind::gelu:
      return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case GateKind::gelu_tanh: {
      const float inner = 0.797884560802865f * (x + 0.044715f * x * x * x);  // sqrt(2 / pi)
      return 0.5f * x * (1.0f + tanhf(inner));
    }
    case GateKind::relu:
      return x < 0.0f ? 0.0f : x;  // NaN stays
  }
  return x;
}

// For the kernels below: a thread a value, blockIdx.y the row.
__device__ int32_t column() {
  return blockIdx.x * kThreads + threadIdx.x;
}

__global__ void add_kernel(Rows inout, ConstRows x) {
  begin_kernel();
  const int32_t c = column();
  const int64_t row = blockIdx.y;
  if (c < inout.cols) inout.data[row * inout.stride + c] += x.data[row * x.stride + c];
}

__global__ void gate_kernel(Rows out, ConstRows gate_up, GateKind kind) {
  begin_kernel();
  const int32_t c = column();
  const float* gate = gate_up.data + static_cast<int64_t>(blockIdx.y) * gate_up.stride;
  if (c < out.cols) {
    out.data[static_cast<int64_t>(blockIdx.y) * out.stride + c] =
        activate(gate[c], kind) * gate[out.cols + c];
  }
}

__global__ void rope_kernel(Rows inout, const int32_t* positions, Rotation rotation) {
  begin_kernel();
  const int32_t index = column(), heads = inout.cols / rotation.head_dim;
  if (index >= heads * rotation.pairs) return;
  float* head = inout.data + static_cast<int64_t>(blockIdx.y) * inout.stride +
                index / rotation.pairs * rotation.head_dim;
  rotate_pair(head, rotation, positions[blockIdx.y], index % rotation.pairs);
}

// at == null: row i of x is row i of out.
__global__ void copy_kernel(Rows out, ConstRows x, const int32_t* at) {
  begin_kernel();
  const int32_t c = column();
  const int64_t from = at ? at[blockIdx.y] : static_cast<int32_t>(blockIdx.y);
  if (c < out.cols)
    out.data[static_cast<int64_t>(blockIdx.y) * out.stride + c] = x.data[from * x.stride + c];
}

dim3 grid_of(int32_t cols, int32_t rows) {
  return dim3(static_cast<unsigned>(ceil_div(cols, kThreads)), static_cast<unsigned>(rows));
}

}  // namespace

void rms_norm(Rows out, const ConstRows& x, const float* w, float eps, cudaStream_t stream) {
  if (out.rows <= 0) return;
  const auto rows = static_cast<unsigned>(out.rows);
  if (aligned(out) && aligned(x)) {
    launch_kernel(norm_kernel<false, true>, rows, kNormThreads, 0, stream, out, Rows{}, x, w, eps);
  } else {
    launch_kernel(norm_kernel<false, false>, rows, kNormThreads, 0, stream, out, Rows{}, x, w, eps);
  }
}

void add_rms_norm(Rows out, Rows residual, const ConstRows& x, const float* w, float eps,
                  cudaStream_t stream) {
  if (out.rows <= 0) return;
  const auto rows = static_cast<unsigned>(out.rows);
  if (aligned(out) && aligned(x) && aligned(residual)) {
    launch_kernel(norm_kernel<true, true>, rows, kNormThreads, 0, stream, out, residual, x, w, eps);
  } else {
    launch_kernel(norm_kernel<true, false>, rows, kNormThreads, 0, stream, out, residual, x, w,
                  eps);
  }
}

void add(Rows inout, const ConstRows& x, cudaStream_t stream) {
  if (inout.rows <= 0) return;
  launch_kernel(add_kernel, grid_of(inout.cols, inout.rows), kThreads, 0, stream, inout, x);
}

void gated_act(Rows out, const ConstRows& gate_up, GateKind kind, cudaStream_t stream) {
  if (out.rows <= 0) return;
  launch_kernel(gate_kernel, grid_of(out.cols, out.rows), kThreads, 0, stream, out, gate_up, kind);
}

void rope(Rows inout, const int32_t* positions, const Rotation& rotation, cudaStream_t stream) {
  if (inout.rows <= 0) return;
  const int32_t pairs = inout.cols / rotation.head_dim * rotation.pairs;
  launch_kernel(rope_kernel, grid_of(pairs, inout.rows), kThreads, 0, stream, inout, positions,
                rotation);
}

void get_rows(Rows out, const ConstRows& x, const int32_t* at, cudaStream_t stream) {
  if (out.rows <= 0) return;
  launch_kernel(copy_kernel, grid_of(out.cols, out.rows), kThreads, 0, stream, out, x, at);
}

void copy_rows(Rows out, const ConstRows& x, cudaStream_t stream) {
  get_rows(out, x, nullptr, stream);
}

}  // namespace bessemer::cuda
