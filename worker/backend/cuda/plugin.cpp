// The library's door (worker/backend/plugin.h).
#include "worker/backend/plugin.h"

#include "worker/backend/cuda/cuda_backend.h"

namespace {

bessemer::Backend* create(const bessemer::BackendOptions&, std::string& error) {
  bessemer::StatusOr<std::unique_ptr<bessemer::Backend>> backend =
      bessemer::cuda::CudaBackend::make();
  if (backend.ok()) return backend->release();
  error = std::string(backend.status().message());
  return nullptr;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const bessemer::BackendPlugin*
bessemer_backend_plugin() {
  static constexpr bessemer::BackendPlugin kPlugin = {.build_id = BESSEMER_BACKEND_BUILD_ID,
                                                      .create = create};
  return &kPlugin;
}
