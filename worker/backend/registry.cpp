#include "worker/backend/registry.h"

#include <array>
#include <filesystem>

#include "worker/backend/cpu/cpu_backend.h"
#include "worker/backend/plugin.h"
#include "worker/backend/reference/reference_backend.h"

namespace bessemer {
namespace {

// Backends that come as plug-ins, best first: the order in which "auto" tries them.
constexpr std::array kPlugins = {"cuda", "vulkan"};

std::string plugin_path(const std::string& name, const BackendOptions& options) {
  std::filesystem::path folder = options.plugin_folder;
  if (folder.empty()) {
    std::error_code error;
    folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  }
  return (folder / ("libbessemer-" + name + ".so")).string();
}

// Names become parts of file names.
bool is_plain_name(const std::string& name) {
  return !name.empty() &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") == std::string::npos;
}

StatusOr<std::unique_ptr<Backend>> make_auto(const BackendOptions& options,
                                             std::vector<std::string>* passed_over) {
  for (const char* name : kPlugins) {
    StatusOr<std::unique_ptr<Backend>> backend =
        load_backend_plugin(plugin_path(name, options), options);
    if (backend.ok()) return backend;
    if (passed_over && !absl::IsNotFound(backend.status()))
      passed_over->emplace_back(backend.status().message());
  }
  return make_backend("cpu", options);
}

}  // namespace

StatusOr<std::unique_ptr<Backend>> make_backend(const std::string& name,
                                                const BackendOptions& options,
                                                std::vector<std::string>* passed_over) {
  if (name == "auto") return make_auto(options, passed_over);
  if (name == "cpu") return cpu::make_cpu_backend(options);
  if (name == "reference") return reference::make_reference_backend();
  if (!is_plain_name(name)) {
    return absl::InvalidArgumentError("'" + name +
                                      "' is no backend; use auto, cpu, reference, cuda or vulkan");
  }
  StatusOr<std::unique_ptr<Backend>> backend =
      load_backend_plugin(plugin_path(name, options), options);
  if (absl::IsNotFound(backend.status())) {
    return annotate(backend.status(),
                    "backend '" + name +
                        "' is neither built in (cpu, reference) nor a plug-in beside the binary");
  }
  return backend;
}

std::vector<std::string> describe_backends() {
  std::vector<std::string> lines = {"cpu: " + cpu::describe_cpu(),
                                    "reference: built in, for tests"};
  for (const char* name : kPlugins) {
    const StatusOr<std::unique_ptr<Backend>> backend =
        load_backend_plugin(plugin_path(name, {}), {});
    lines.push_back(std::string(name) + ": " +
                    (backend.ok() ? (*backend)->numerics()
                                  : "not found (" + std::string(backend.status().message()) + ")"));
  }
  return lines;
}

}  // namespace bessemer
