#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/output.h"

namespace bessemer::cuda {
namespace {

constexpr int kThreads = 1024;

// The best of some columns: the largest value, of equal ones the lowest id.
struct Best {
  float value;
  int32_t id;
};
__device__ Best better(const Best& a, const Best& b) {
  if (a.value != b.value) return a.value > b.value ? a : b;
  return a.id < b.id ? a : b;
}

// A block a row.
__global__ void __launch_bounds__(kThreads) largest_kernel(int32_t* ids, ConstRows rows) {
  begin_kernel();
  const float* row = rows.data + static_cast<int64_t>(blockIdx.x) * rows.stride;
  Best best{-INFINITY, INT32_MAX};
  bool nan = false;
#pragma unroll 4
  for (int32_t c = threadIdx.x; c < rows.cols; c += kThreads) {
    const float value = row[c];
    nan = nan || isnan(value);
    if (value > best.value) best = {value, c};  // columns rise: the first of equal ones stays
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    const Best other{__shfl_xor_sync(~0u, best.value, step), __shfl_xor_sync(~0u, best.id, step)};
    best = better(best, other);
  }
  __shared__ Best warps[kThreads / 32];
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = best;
  nan = __syncthreads_or(nan);
  if (threadIdx.x != 0) return;
  for (int w = 1; w < kThreads / 32; ++w) best = better(best, warps[w]);
  const bool usable = !nan && best.value != INFINITY && best.value != -INFINITY;
  ids[blockIdx.x] = usable ? best.id : -1;
}

}  // namespace

void largest_columns(int32_t* ids, const ConstRows& rows, cudaStream_t stream) {
  if (rows.rows <= 0) return;
  launch_kernel(largest_kernel, static_cast<unsigned>(rows.rows), kThreads, 0, stream, ids, rows);
}

}  // namespace bessemer::cuda
