// How much memory this process may still take, as the kernel and its control group see it.
#pragma once
#include <cstdint>
#include <string>

#include "common/status.h"

namespace bessemer {

// The least of the machine's available memory and what every enclosing control group (v1 or v2)
// leaves; page cache counts as free in both. `root` stands in front of /proc and /sys, for tests.
StatusOr<uint64_t> available_memory_bytes(const std::string& root = "");

}  // namespace bessemer
