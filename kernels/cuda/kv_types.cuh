// The types that keys and values are kept in.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda/attention.h"

namespace bessemer::cuda {

__device__ inline float kv_to_float(float v) {
  return v;
}
__device__ inline float kv_to_float(__half v) {
  return __half2float(v);
}
__device__ inline float kv_to_float(__nv_bfloat16 v) {
  return __bfloat162float(v);
}
__device__ inline float kv_to_float(int8_t v) {
  return static_cast<float>(v);
}

// Calls f with a null pointer of the element type.
template <typename F>
void with_kv_type(KvType type, F&& f) {
  switch (type) {
    case KvType::f32:
      return f(static_cast<float*>(nullptr));
    case KvType::f16:
      return f(static_cast<__half*>(nullptr));
    case KvType::bf16:
      return f(static_cast<__nv_bfloat16*>(nullptr));
    case KvType::i8:
      return f(static_cast<int8_t*>(nullptr));
  }
}

}  // namespace bessemer::cuda
