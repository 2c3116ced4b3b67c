// out = x w^T for f32, f16 and bf16 weights and few rows, in f32; conversions to bf16 for many rows.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/products.h"

namespace bessemer::cuda {
namespace {

constexpr int kThreads = 256;

__device__ float to_float(float v) {
  return v;
}
__device__ float to_float(__half v) {
  return __half2float(v);
}
__device__ float to_float(__nv_bfloat16 v) {
  return __bfloat162float(v);
}

__device__ uint16_t bf16_bits(float v) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(v));
}

// Calls f with a null pointer of the weight's element type.
template <typename F>
void with_element(TensorType type, F&& f) {
  if (type == TensorType::f32) return f(static_cast<const float*>(nullptr));
  if (type == TensorType::f16) return f(static_cast<const __half*>(nullptr));
  f(static_cast<const __nv_bfloat16*>(nullptr));
}

template <typename T>
constexpr int kVector = 16 / static_cast<int>(sizeof(T));

// 16 bytes of weights as floats.
template <typename T>
__device__ void to_floats(float (&out)[kVector<T>], const uint4& bytes) {
  const T* values = reinterpret_cast<const T*>(&bytes);
#pragma unroll
  for (int i = 0; i < kVector<T>; ++i) out[i] = to_float(values[i]);
}

// `count` values of x (at most N), 0 behind them. kAligned: rows are multiples of 16 bytes, and count is N.
template <bool kAligned, int N>
__device__ void load_inputs(float (&out)[N], const float* from, int count) {
  if constexpr (kAligned) {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
      const float4 v = *reinterpret_cast<const float4*>(from + i);
      out[i] = v.x, out[i + 1] = v.y, out[i + 2] = v.z, out[i + 3] = v.w;
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) out[i] = i < count ? from[i] : 0.0f;
  }
}

// A warp an output, kRows rows of x side by side. Lane l sums the vectors l, l + 32, ... in one chain; kLoads of them are on
// their way while as many are summed, the first before x is there.
template <typename T, int kRows, bool kAligned>
__global__ void __launch_bounds__(kThreads)
    product_kernel(Rows out, ConstRows x, FloatWeight w, const float* bias) {
  constexpr int kV = kVector<T>, kLoads = 4, kStep = 32 * kV;
  const int lane = threadIdx.x % 32;
  const int32_t output = blockIdx.x * (kThreads / 32) + threadIdx.x / 32;
  const T* weights =
      static_cast<const T*>(w.data) + static_cast<int64_t>(min(output, w.rows - 1)) * w.stride;
  uint4 next[kLoads];
  const auto load = [&](int32_t first) {
#pragma unroll
    for (int l = 0; l < kLoads; ++l) {
      const int32_t k = first + l * kStep;
      if (k < w.cols) next[l] = __ldg(reinterpret_cast<const uint4*>(weights + k));
    }
  };
  let_next_start();
  load(lane * kV);
  wait_for_stream();
  if (output >= w.rows) return;
  float acc[kRows] = {};
  for (int32_t first = lane * kV; first < w.cols; first += kLoads * kStep) {
    uint4 now[kLoads];
#pragma unroll
    for (int l = 0; l < kLoads; ++l) now[l] = next[l];
    load(first + kLoads * kStep);
#pragma unroll
    for (int l = 0; l < kLoads; ++l) {
      const int32_t k = first + l * kStep;
      if (k >= w.cols) continue;
      float values[kV];
      to_floats<T>(values, now[l]);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        float inputs[kV];
        const float* row = x.data + static_cast<int64_t>(min(r, x.rows - 1)) * x.stride;
        load_inputs<kAligned>(inputs, row + k, w.cols - k);
#pragma unroll
        for (int i = 0; i < kV; ++i) acc[r] = fmaf(values[i], inputs[i], acc[r]);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) acc[r] += __shfl_xor_sync(~0u, acc[r], step);
    if (lane == 0 && r < x.rows) {
      out.data[static_cast<int64_t>(r) * out.stride + output] =
          bias ? acc[r] + bias[output] : acc[r];
    }
  }
}

template <typename T, int kRows>
void launch(Rows out, const ConstRows& x, const FloatWeight& w, const float* bias,
            cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(ceil_div(w.rows, kThreads / 32));
  const bool aligned = reinterpret_cast<uintptr_t>(x.data) % 16 == 0 && x.stride % 4 == 0 &&
                       w.cols % kVector<T> == 0;
  if (aligned) {
    launch_kernel(product_kernel<T, kRows, true>, blocks, kThreads, 0, stream, out, x, w, bias);
  } else {
    launch_kernel(product_kernel<T, kRows, false>, blocks, kThreads, 0, stream, out, x, w, bias);
  }
}

template <typename T>
__global__ void embed_kernel(Rows out, const int32_t* ids, FloatWeight w, int32_t first_row) {
  begin_kernel();
  const int32_t row = ids[blockIdx.x] - first_row;
  if (row < 0 || row >= w.rows) return;
  const T* from = static_cast<const T*>(w.data) + static_cast<int64_t>(row) * w.stride;
  float* to = out.data + static_cast<int64_t>(blockIdx.x) * out.stride;
  for (int32_t c = threadIdx.x; c < w.cols; c += blockDim.x) to[c] = to_float(from[c]);
}

// Rows of any element type to bf16, a thread a value.
template <typename T>
__global__ void bf16_kernel(uint16_t* out, int32_t out_stride, const T* from, int64_t stride,
                            int32_t cols) {
  begin_kernel();
  const int32_t c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= out_stride) return;
  const int64_t row = blockIdx.y;
  out[row * out_stride + c] = c < cols ? bf16_bits(to_float(from[row * stride + c])) : uint16_t{0};
}

template <typename T>
void convert(uint16_t* out, int32_t out_stride, const T* from, int64_t stride, int32_t rows,
             int32_t cols, cudaStream_t stream) {
  constexpr int32_t kMaxGrid = 65535;  // of a grid's second dimension
  for (int32_t first = 0; first < rows; first += kMaxGrid) {
    const dim3 grid(static_cast<unsigned>(ceil_div(out_stride, kThreads)),
                    static_cast<unsigned>(min(kMaxGrid, rows - first)));
    launch_kernel(bf16_kernel<T>, grid, kThreads, 0, stream,
                  out + static_cast<int64_t>(first) * out_stride, out_stride, from + first * stride,
                  stride, cols);
  }
}

__global__ void bias_kernel(Rows inout, const float* bias) {
  begin_kernel();
  const int32_t c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c < inout.cols) inout.data[static_cast<int64_t>(blockIdx.y) * inout.stride + c] += bias[c];
}

}  // namespace

void float_product(Rows out, const ConstRows& x, const FloatWeight& w, const float* bias,
                   cudaStream_t stream) {
  for (int32_t first = 0; first < x.rows; first += kFloatProductRows) {
    const int32_t count = min(kFloatProductRows, x.rows - first);
    const ConstRows rows(x.data + static_cast<int64_t>(first) * x.stride, count, x.cols, x.stride);
    const Rows to{out.data + static_cast<int64_t>(first) * out.stride, count, out.cols, out.stride};
    with_element(w.type, [&]<typename T>(const T*) {
      if (count == 1) return launch<T, 1>(to, rows, w, bias, stream);
      if (count == 2) return launch<T, 2>(to, rows, w, bias, stream);
      if (count <= 4) return launch<T, 4>(to, rows, w, bias, stream);
      launch<T, 8>(to, rows, w, bias, stream);
    });
  }
}

void embed_floats(Rows out, const int32_t* ids, const FloatWeight& w, int32_t first_row,
                  cudaStream_t stream) {
  if (out.rows <= 0) return;
  with_element(w.type, [&]<typename T>(const T*) {
    launch_kernel(embed_kernel<T>, static_cast<unsigned>(out.rows), kThreads, 0, stream, out, ids,
                  w, first_row);
  });
}

void rows_to_bf16(uint16_t* out, int32_t stride, const ConstRows& x, cudaStream_t stream) {
  convert(out, stride, x.data, x.stride, x.rows, x.cols, stream);
}

void floats_to_bf16(uint16_t* out, int32_t stride, const FloatWeight& w, int32_t first_row,
                    int32_t rows, cudaStream_t stream) {
  with_element(w.type, [&]<typename T>(const T*) {
    const T* from = static_cast<const T*>(w.data) + static_cast<int64_t>(first_row) * w.stride;
    convert(out, stride, from, w.stride, rows, w.cols, stream);
  });
}

void add_bias(Rows inout, const float* bias, cudaStream_t stream) {
  if (inout.rows <= 0) return;
  const dim3 grid(static_cast<unsigned>(ceil_div(inout.cols, kThreads)),
                  static_cast<unsigned>(inout.rows));
  launch_kernel(bias_kernel, grid, kThreads, 0, stream, inout, bias);
}

}  // namespace bessemer::cuda
