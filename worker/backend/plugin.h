// The door of a plug-in backend: a shared library libbessemer-<name>.so beside the binary that
// exports one C symbol.
//
// What crosses the door is a C++ object, so host and plug-in must have been built from the same
// headers by the same compiler and against the same C++ library: build_id says so, and a library
// with another one is refused before anything is called.
#pragma once
#include <string>

#include "worker/backend/registry.h"

namespace bessemer {

struct BackendPlugin {
  const char* build_id;  // BESSEMER_BACKEND_BUILD_ID of the headers it was built from
  // nullptr: `error` says what the machine lacks. The caller owns the backend; the library stays
  // loaded for good.
  Backend* (*create)(const BackendOptions& options, std::string& error);
};

// The exported symbol is `extern "C" const bessemer::BackendPlugin* bessemer_backend_plugin()`.
inline constexpr const char* kBackendPluginSymbol = "bessemer_backend_plugin";
using BackendPluginEntry = const BackendPlugin* (*)();

// Loads `path` and makes its backend. NotFound: no such file; FailedPrecondition: not a plug-in,
// another build, or no device.
StatusOr<std::unique_ptr<Backend>> load_backend_plugin(const std::string& path,
                                                       const BackendOptions& options);

}  // namespace bessemer
