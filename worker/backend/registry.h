// Which backends this process can use. The CPU ones are built in; others are shared libraries
// beside the binary (plugin.h).
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "worker/backend/backend.h"

namespace bessemer {

struct BackendOptions {
  int32_t threads = 0;   // CPU: 0 = what affinity and cgroup allow
  std::string isa = {};  // CPU: "" = the best; "scalar", "avx2", "avx512", "amx": for tests
  std::string plugin_folder = {};  // where libbessemer-<name>.so lie; "" = beside the binary
};

// `name`: "auto", "cpu", "reference", or a plug-in: "cuda", "vulkan". NotFound or
// FailedPrecondition names what is missing and the remedy. "auto" takes the first plug-in that works,
// else the CPU; `passed_over` gets a line for each plug-in beside the binary that does not work.
StatusOr<std::unique_ptr<Backend>> make_backend(const std::string& name,
                                                const BackendOptions& options,
                                                std::vector<std::string>* passed_over = nullptr);

// One line each, for start-up logs and `bessemer --version`: "cpu: avx2, 2 threads",
// "cuda: not found (...)".
std::vector<std::string> describe_backends();

}  // namespace bessemer
