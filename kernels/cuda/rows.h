// What every launcher takes. Launchers only enqueue: no allocation, no synchronisation; the caller asks
// cudaGetLastError() once after a batch of them. Sizes of 0 launch nothing.
#pragma once
#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

namespace bessemer::cuda {

// A matrix of f32 in device memory; `stride` in elements.
struct Rows {
  float* data = nullptr;
  int32_t rows = 0, cols = 0, stride = 0;
};
struct ConstRows {
  const float* data = nullptr;
  int32_t rows = 0, cols = 0, stride = 0;
  ConstRows() = default;
  ConstRows(const float* d, int32_t r, int32_t c, int32_t s)
      : data(d), rows(r), cols(c), stride(s) {}
  ConstRows(const Rows& r) : data(r.data), rows(r.rows), cols(r.cols), stride(r.stride) {}
};

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace bessemer::cuda
