#pragma once
#include <functional>
#include <string>

#include "common/status.h"

namespace bessemer {

// Hex SHA-256 of a file; `progress` is told the bytes read so far.
StatusOr<std::string> sha256_file(const std::string& path,
                                  const std::function<void(uint64_t)>& progress);

}  // namespace bessemer
