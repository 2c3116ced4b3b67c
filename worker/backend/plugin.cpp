#include "worker/backend/plugin.h"

#include <dlfcn.h>
#include <unistd.h>

namespace bessemer {
namespace {

Status refuse(const std::string& path, const std::string& why) {
  return absl::FailedPreconditionError("backend plug-in " + path + ": " + why);
}

// What dlopen or dlsym had to say.
std::string loader_error() {
  const char* text = dlerror();
  return text ? text : "unknown loader error";
}

StatusOr<const BackendPlugin*> open_plugin(const std::string& path) {
  if (access(path.c_str(), F_OK) != 0) {
    return absl::NotFoundError("backend plug-in " + path + " does not exist");
  }
  // Never closed: code of a backend may run until the process ends.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return refuse(path, "cannot be loaded: " + loader_error());
  const auto entry = reinterpret_cast<BackendPluginEntry>(dlsym(library, kBackendPluginSymbol));
  if (!entry) return refuse(path, std::string("is no backend, it lacks ") + kBackendPluginSymbol);
  const BackendPlugin* plugin = entry();
  if (!plugin || !plugin->build_id || !plugin->create) return refuse(path, "its entry is empty");
  return plugin;
}

}  // namespace

StatusOr<std::unique_ptr<Backend>> load_backend_plugin(const std::string& path,
                                                       const BackendOptions& options) {
  ASSIGN_OR_RETURN(const BackendPlugin* plugin, open_plugin(path));
  if (std::string(plugin->build_id) != BESSEMER_BACKEND_BUILD_ID) {
    return refuse(path, std::string("was built as ") + plugin->build_id + ", this program as " +
                            BESSEMER_BACKEND_BUILD_ID + "; build both from the same sources");
  }
  std::string error;
  std::unique_ptr<Backend> backend(plugin->create(options, error));
  if (!backend) return refuse(path, error.empty() ? "made no backend" : error);
  return backend;
}

}  // namespace bessemer
