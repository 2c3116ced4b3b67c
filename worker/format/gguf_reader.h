// The bytes of a GGUF file -> its parts; gguf.h is what the rest of the program uses.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/status.h"
#include "worker/format/gguf.h"

namespace bessemer {

struct GgufContents {
  uint32_t version = 0, alignment = 32;
  std::vector<std::pair<std::string_view, GgufValue>>
      metadata;                     // file order; keys may still repeat
  std::vector<GgufTensor> tensors;  // file order; names may still repeat
};

// Views in the result point into `bytes`. Every error begins with `file` and says at which byte.
StatusOr<GgufContents> read_gguf(std::span<const std::byte> bytes, const std::string& file);

}  // namespace bessemer
