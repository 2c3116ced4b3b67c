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
#include "worker/format/gguf_cursor.h"

namespace bessemer {

using GgufMetadata = std::vector<std::pair<std::string_view, GgufValue>>;

struct GgufContents {
  uint32_t version = 0, alignment = 32;
  GgufMetadata metadata;            // file order; keys may still repeat
  std::vector<GgufTensor> tensors;  // file order; names may still repeat
};

// Views in the result point into `bytes`. Every error begins with `file` and says at which byte.
StatusOr<GgufContents> read_gguf(std::span<const std::byte> bytes, const std::string& file);

// The parts, where the cursor stands. `count_offset`: the byte where the header says `count`.
StatusOr<GgufMetadata> read_metadata(GgufCursor& in, uint64_t count, uint64_t count_offset);
// The tensors' entries, and with them their data, which begins at the next multiple of `alignment`:
// inside the file, aligned, apart from one another.
StatusOr<std::vector<GgufTensor>> read_tensors(GgufCursor& in, uint64_t count,
                                               uint64_t count_offset, uint32_t alignment);

}  // namespace bessemer
