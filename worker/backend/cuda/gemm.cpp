#include "worker/backend/cuda/gemm.h"

namespace bessemer::cuda {
namespace {

// Descriptors of one product, destroyed with it. cuBLASLt is column-major: what it calls D is out^T = w x^T.
class Problem {
 public:
  Problem(Rows out, GemmOperand x, GemmOperand w, int32_t inner, bool bf16) {
    const cudaDataType_t type = bf16 ? CUDA_R_16BF : CUDA_R_32F;
    const cublasOperation_t transpose = CUBLAS_OP_T;
    const auto rows = static_cast<uint64_t>(out.rows), cols = static_cast<uint64_t>(out.cols),
               k = static_cast<uint64_t>(inner);
    ok_ = done(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F)) &&
          done(cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &transpose,
                                              sizeof transpose)) &&
          done(cublasLtMatrixLayoutCreate(&a, type, k, cols, w.stride)) &&
          done(cublasLtMatrixLayoutCreate(&b, type, k, rows, x.stride)) &&
          done(cublasLtMatrixLayoutCreate(&d, CUDA_R_32F, cols, rows, out.stride));
  }
  ~Problem() {
    for (cublasLtMatrixLayout_t layout : {a, b, d}) {
      if (layout) cublasLtMatrixLayoutDestroy(layout);
    }
    if (product) cublasLtMatmulDescDestroy(product);
  }
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;
  bool ok() const { return ok_; }

  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;

 private:
  static bool done(cublasStatus_t status) { return status == CUBLAS_STATUS_SUCCESS; }
  bool ok_ = false;
};

// The largest power of two up to 256 that divides the address.
uint32_t alignment_of(const void* address) {
  uint32_t alignment = 256;
  while (reinterpret_cast<uintptr_t>(address) % alignment != 0) alignment /= 2;
  return alignment;
}

struct Alignments {
  uint32_t w, x, out;
};

bool choose(cublasLtHandle_t handle, const Problem& p, const Alignments& alignments,
            size_t workspace, cublasLtMatmulAlgo_t& algo) {
  cublasLtMatmulPreference_t preference = nullptr;
  if (cublasLtMatmulPreferenceCreate(&preference) != CUBLAS_STATUS_SUCCESS) return false;
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    return cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value) ==
           CUBLAS_STATUS_SUCCESS;
  };
  cublasLtMatmulHeuristicResult_t result = {};
  int found = 0;
  const bool asked =
      set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace) &&
      set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignments.w) &&
      set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignments.x) &&
      set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignments.out) &&
      set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignments.out) &&
      cublasLtMatmulAlgoGetHeuristic(handle, p.product, p.a, p.b, p.d, p.d, preference, 1, &result,
                                     &found) == CUBLAS_STATUS_SUCCESS;
  cublasLtMatmulPreferenceDestroy(preference);
  if (!asked || found == 0 || result.state != CUBLAS_STATUS_SUCCESS) return false;
  algo = result.algo;
  return true;
}

}  // namespace

StatusOr<std::unique_ptr<Gemm>> Gemm::make() {
  ASSIGN_OR_RETURN(Memory workspace, Memory::make(Place::device, kWorkspaceBytes, "cuBLASLt"));
  cublasLtHandle_t handle = nullptr;
  const cublasStatus_t status = cublasLtCreate(&handle);
  if (status != CUBLAS_STATUS_SUCCESS) {
    return absl::InternalError(std::string("cuBLASLt cannot start: ") +
                               cublasLtGetStatusString(status));
  }
  return std::unique_ptr<Gemm>(new Gemm(handle, std::move(workspace)));
}

Gemm::~Gemm() {
  cublasLtDestroy(handle_);
}

bool Gemm::multiply(Rows out, GemmOperand x, GemmOperand w, int32_t inner, bool bf16,
                    cudaStream_t stream) {
  const Problem p(out, x, w, inner, bf16);
  if (!p.ok()) return false;
  const Alignments alignments{alignment_of(w.data), alignment_of(x.data), alignment_of(out.data)};
  const Key key = {bf16,
                   out.rows,
                   out.cols,
                   inner,
                   x.stride,
                   w.stride,
                   out.stride,
                   static_cast<int32_t>(alignments.w),
                   static_cast<int32_t>(alignments.x),
                   static_cast<int32_t>(alignments.out)};
  if (choices_.size() >= kMaxChoices) choices_.clear();
  const auto [at, fresh] = choices_.try_emplace(key);
  Choice& choice = at->second;
  if (fresh) choice.found = choose(handle_, p, alignments, kWorkspaceBytes, choice.algo);
  if (!choice.found) return false;
  const float one = 1.0f, zero = 0.0f;
  return cublasLtMatmul(handle_, p.product, &one, w.data, p.a, x.data, p.b, &zero, out.data, p.d,
                        out.data, p.d, &choice.algo, workspace_.as(), kWorkspaceBytes,
                        stream) == CUBLAS_STATUS_SUCCESS;
}

}  // namespace bessemer::cuda
