#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <cuda_runtime_api.h>

#include "bench/gpu/cases.h"

namespace bessemer::bench {
namespace {

void must(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "CUDA: %s\n", cudaGetErrorString(error));
  std::exit(1);
}

}  // namespace

double copy_bandwidth() {
  constexpr size_t kBytes = size_t{1} << 30;
  void *from = nullptr, *to = nullptr;
  cudaEvent_t start, end;
  must(cudaMalloc(&from, kBytes));
  must(cudaMalloc(&to, kBytes));
  must(cudaMemset(from, 0x5a, kBytes));
  must(cudaEventCreate(&start));
  must(cudaEventCreate(&end));
  double best = 0;
  for (int i = 0; i < 12; ++i) {
    must(cudaEventRecord(start));
    must(cudaMemcpyAsync(to, from, kBytes, cudaMemcpyDeviceToDevice));
    must(cudaEventRecord(end));
    must(cudaEventSynchronize(end));
    float milliseconds = 0;
    must(cudaEventElapsedTime(&milliseconds, start, end));
    best = std::max(best, 2.0 * kBytes / (static_cast<double>(milliseconds) * 1e-3));
  }
  must(cudaFree(from));
  must(cudaFree(to));
  return best;
}

std::string device_name() {
  cudaDeviceProp device = {};
  must(cudaGetDeviceProperties(&device, 0));
  return device.name;
}

}  // namespace bessemer::bench
