// A plug-in that works: the reference backend under another name.
#include "worker/backend/plugin.h"
#include "worker/backend/reference/reference_backend.h"

extern "C" __attribute__((visibility("default"))) const bessemer::BackendPlugin*
bessemer_backend_plugin() {
  static constexpr bessemer::BackendPlugin kPlugin = {
      .build_id = BESSEMER_BACKEND_BUILD_ID,
      .create = [](const bessemer::BackendOptions&, std::string&) -> bessemer::Backend* {
        return bessemer::reference::make_reference_backend().release();
      }};
  return &kPlugin;
}
