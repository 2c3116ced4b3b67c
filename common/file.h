#pragma once
#include <cstddef>
#include <string>

#include "common/status.h"

namespace bessemer {

// The bytes of a file that is small by its nature. The error names `path`; a longer file is
// ResourceExhausted, and no more than the limit of it was read.
StatusOr<std::string> read_file(const std::string& path, size_t limit_bytes);

}  // namespace bessemer
