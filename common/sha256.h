#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "common/status.h"

namespace bessemer {

// Two digits a byte, in lower case.
std::string hex_of(std::span<const unsigned char> bytes);

// Hex SHA-256 of a text.
std::string sha256_of(std::string_view text);
// The same of a file; `progress` is told the bytes read so far.
StatusOr<std::string> sha256_file(const std::string& path,
                                  const std::function<void(uint64_t)>& progress);

}  // namespace bessemer
