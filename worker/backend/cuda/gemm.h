// Large products by cuBLASLt, with its choices remembered.
#pragma once
#include <array>
#include <map>
#include <memory>

#include <cublasLt.h>

#include "kernels/cuda/rows.h"
#include "worker/backend/cuda/device.h"

namespace bessemer::cuda {

// An operand: rows x cols, row-major, `stride` elements from row to row.
struct GemmOperand {
  const void* data = nullptr;
  int32_t stride = 0;
};

class Gemm {
 public:
  static StatusOr<std::unique_ptr<Gemm>> make();
  ~Gemm();
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  // out = x w^T: x [out.rows, inner], w [out.cols, inner], both bf16 (or both f32), sums in f32. Enqueued on `stream`. False:
  // the library knows no way for this shape.
  bool multiply(Rows out, GemmOperand x, GemmOperand w, int32_t inner, bool bf16,
                cudaStream_t stream);

 private:
  // Type, rows, outputs, inner, three strides, and how the three addresses are aligned.
  using Key = std::array<int32_t, 10>;
  struct Choice {
    bool found = false;
    cublasLtMatmulAlgo_t algo = {};
  };
  // 32 MiB: what cuBLAS itself takes on Hopper.
  static constexpr size_t kWorkspaceBytes = size_t{32} << 20;
  // Shapes remembered; a server sees one for each weight and number of rows.
  static constexpr size_t kMaxChoices = 16384;

  Gemm(cublasLtHandle_t handle, Memory workspace)
      : handle_(handle), workspace_(std::move(workspace)) {}

  cublasLtHandle_t handle_;
  Memory workspace_;
  std::map<Key, Choice> choices_;
};

}  // namespace bessemer::cuda
