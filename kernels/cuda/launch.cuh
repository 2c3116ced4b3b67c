// Launches that overlap: a kernel may start while the one before it in the stream ends, does what depends on nothing (reads
// weights), and then waits for it (programmatic dependent launch, compute capability 9.0). Kernels launched by
// launch_kernel() call begin_kernel() or, where they have something to do first, its two parts.
#pragma once
#include <utility>

#include <cuda_runtime.h>

namespace bessemer::cuda {

// The next kernel of the stream may start as soon as every block of this one has called this or ended.
__device__ inline void let_next_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
// Everything before this kernel in the stream is done, and what it wrote can be seen. Nothing that another kernel writes may
// be read before, nothing that another kernel reads may be written before.
__device__ inline void wait_for_stream() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ inline void begin_kernel() {
  let_next_start();
  wait_for_stream();
}

inline bool launches_overlap() {
  static const bool overlap = [] {
    int device = 0, major = 0;
    return cudaGetDevice(&device) == cudaSuccess &&
           cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) ==
               cudaSuccess &&
           major >= 9;
  }();
  return overlap;
}

template <typename... Parameters, typename... Arguments>
void launch_kernel(void (*kernel)(Parameters...), dim3 grid, unsigned threads, size_t shared,
                   cudaStream_t stream, Arguments&&... arguments) {
  cudaLaunchAttribute overlap = {};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  config.attrs = &overlap;
  config.numAttrs = launches_overlap() ? 1 : 0;
  // An error stays for cudaGetLastError(), as with <<<>>>.
  (void)cudaLaunchKernelEx(&config, kernel,
                           static_cast<Parameters>(std::forward<Arguments>(arguments))...);
}

}  // namespace bessemer::cuda
