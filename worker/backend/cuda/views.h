// From what crosses the seam to what kernels take.
#pragma once
#include "common/check.h"
#include "kernels/cuda/pointwise.h"
#include "worker/backend/backend.h"
#include "worker/backend/cuda/kv_pool.h"
#include "worker/backend/cuda/weight.h"

namespace bessemer::cuda {

inline Rows rows_of(const Mat& mat) {
  CHECK(mat.dtype == DType::f32);
  return {reinterpret_cast<float*>(mat.data()), mat.rows, mat.cols, mat.row_stride};
}
inline const CudaWeight& own(const Weight& weight) {
  return static_cast<const CudaWeight&>(weight);
}
inline CudaKvPool& own(KvPool& kv) {
  return static_cast<CudaKvPool&>(kv);
}
inline const CudaKvPool& own(const KvPool& kv) {
  return static_cast<const CudaKvPool&>(kv);
}
inline Rotation rotation_of(const RopeTable& table, const RopeParams& p) {
  const auto& angles = static_cast<const CudaRopeTable&>(table);
  CHECK(p.rotary_dim / 2 == angles.pairs() && p.rotary_dim <= p.head_dim);
  return {angles.cosines(), angles.sines(), angles.pairs(), p.head_dim, p.interleaved};
}

}  // namespace bessemer::cuda
