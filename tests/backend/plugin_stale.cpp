// A plug-in of another build: its create() must never be called.
#include <cstdlib>

#include "worker/backend/plugin.h"

extern "C" __attribute__((visibility("default"))) const bessemer::BackendPlugin*
bessemer_backend_plugin() {
  static constexpr bessemer::BackendPlugin kPlugin = {
      .build_id = "0123456789abcdef",
      .create = [](const bessemer::BackendOptions&, std::string&) -> bessemer::Backend* {
        std::abort();
      }};
  return &kPlugin;
}
