// Writing keys and values, and copying their blocks.
#include "kernels/cuda/kv_types.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/rotate.cuh"

namespace bessemer::cuda {
namespace {

constexpr int kWarps = 4;
constexpr float kSmallestRow = 0x1p-100f;  // kSmallestKvRow of worker/backend/kv.h

__device__ void put(float& to, float v) {
  to = v;
}
__device__ void put(__half& to, float v) {
  to = __float2half_rn(v);
}
__device__ void put(__nv_bfloat16& to, float v) {
  to = __float2bfloat16_rn(v);
}

// A warp stores one row of one head; int8 as worker/backend/kv.h says.
template <typename T>
__device__ void store_row(const KvRows& to, int64_t row, const float* from, int lane) {
  T* at = static_cast<T*>(to.values) + row * to.width;
  if constexpr (sizeof(T) > 1) {
    for (int32_t c = lane; c < to.width; c += 32) put(at[c], from[c]);
  } else {
    float largest = 0.0f;
    bool finite = true;
    for (int32_t c = lane; c < to.width; c += 32) {
      finite = finite && isfinite(from[c]);
      largest = fmaxf(largest, fabsf(from[c]));
    }
    finite = __all_sync(~0u, finite);
#pragma unroll
    for (int step = 16; step > 0; step /= 2)
      largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, step));
    const bool zero = !finite || largest < kSmallestRow;
    const float inverse = 127.0f / largest;
    for (int32_t c = lane; c < to.width; c += 32) {
      at[c] = zero ? int8_t{0} : static_cast<int8_t>(__float2int_rn(from[c] * inverse));
    }
    if (lane == 0)
      to.scales[row] = !finite ? __int_as_float(0x7fc00000) : zero ? 0.0f : largest / 127.0f;
  }
}

// Where the row of `head` at `slot` lies, in rows.
__device__ int64_t row_at(const KvLayerView& kv, int32_t slot, int32_t head) {
  const int64_t block = slot / kv.block_tokens;
  return (block * kv.heads + head) * kv.block_tokens + slot % kv.block_tokens;
}

// blockIdx.x: row; warps take its heads: of q (if any, only rotated), of k, of v.
template <typename T, bool kRotate>
__global__ void store_kernel(Rows q, Rows k, ConstRows v, KvLayerView kv, const int32_t* store_at,
                             const int32_t* positions, Rotation rotation) {
  begin_kernel();
  const int lane = threadIdx.x % 32;
  const int64_t row = blockIdx.x;
  const int32_t q_heads = kRotate ? q.cols / rotation.head_dim : 0;
  const int32_t item = blockIdx.y * kWarps + threadIdx.x / 32;
  if (item >= q_heads + 2 * kv.heads) return;
  const int32_t slot = store_at[row];
  const int32_t head = item - q_heads;  // of k, then of v
  if (head >= kv.heads) {
    const float* from = v.data + row * v.stride + (head - kv.heads) * kv.values.width;
    if (slot >= 0) store_row<T>(kv.values, row_at(kv, slot, head - kv.heads), from, lane);
    return;
  }
  float* from = head < 0 ? q.data + row * q.stride + item * rotation.head_dim
                         : k.data + row * k.stride + head * kv.keys.width;
  if constexpr (kRotate) {
    for (int32_t pair = lane; pair < rotation.pairs; pair += 32)
      rotate_pair(from, rotation, positions[row], pair);
    __syncwarp();
  }
  if (head >= 0 && slot >= 0) store_row<T>(kv.keys, row_at(kv, slot, head), from, lane);
}

template <bool kRotate>
void launch_store(Rows q, Rows k, const ConstRows& v, const KvLayerView& kv,
                  const int32_t* store_at, const int32_t* positions, const Rotation& rotation,
                  cudaStream_t stream) {
  if (k.rows <= 0) return;
  const int32_t heads = (kRotate ? q.cols / rotation.head_dim : 0) + 2 * kv.heads;
  const dim3 grid(static_cast<unsigned>(k.rows), static_cast<unsigned>(ceil_div(heads, kWarps)));
  with_kv_type(kv.type, [&]<typename T>(T*) {
    launch_kernel(store_kernel<T, kRotate>, grid, kWarps * 32, 0, stream, q, k, v, kv, store_at,
                  positions, rotation);
  });
}

__global__ void move_kernel(const KvPlane* planes, int32_t from, int32_t to) {
  begin_kernel();
  const KvPlane plane = planes[blockIdx.x];
  const int64_t at = static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.y) * blockDim.x;
  const uint8_t* source = plane.data + from * plane.bytes;
  uint8_t* target = plane.data + to * plane.bytes;
  if (plane.bytes % 4 == 0 && reinterpret_cast<uintptr_t>(plane.data) % 4 == 0) {
    const auto* words = reinterpret_cast<const uint32_t*>(source);
    for (int64_t i = at; i < plane.bytes / 4; i += step)
      reinterpret_cast<uint32_t*>(target)[i] = words[i];
  } else {
    for (int64_t i = at; i < plane.bytes; i += step) target[i] = source[i];
  }
}

}  // namespace

void store_kv(const KvLayerView& kv, const ConstRows& k, const ConstRows& v,
              const int32_t* store_at, cudaStream_t stream) {
  const Rows unrotated{const_cast<float*>(k.data), k.rows, k.cols,
                       k.stride};  // kRotate = false: only read
  launch_store<false>({}, unrotated, v, kv, store_at, nullptr, {}, stream);
}

void rope_store_kv(Rows q, Rows k, const ConstRows& v, const KvLayerView& kv,
                   const int32_t* store_at, const int32_t* positions, const Rotation& rotation,
                   cudaStream_t stream) {
  launch_store<true>(q, k, v, kv, store_at, positions, rotation, stream);
}

void move_kv(const KvPlane* planes, int32_t count, int32_t from, int32_t to, cudaStream_t stream) {
  if (count <= 0 || from == to) return;
  launch_kernel(move_kernel, dim3(static_cast<unsigned>(count), 4), 256, 0, stream, planes, from,
                to);
}

}  // namespace bessemer::cuda
