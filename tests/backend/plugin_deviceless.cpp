// A plug-in on a machine without its device.
#include "worker/backend/plugin.h"

extern "C" __attribute__((visibility("default"))) const bessemer::BackendPlugin*
bessemer_backend_plugin() {
  static constexpr bessemer::BackendPlugin kPlugin = {
      .build_id = BESSEMER_BACKEND_BUILD_ID,
      .create = [](const bessemer::BackendOptions&, std::string& error) -> bessemer::Backend* {
        error = "no such device in this machine";
        return nullptr;
      }};
  return &kPlugin;
}
