// A model file as text for a person: every control character escaped, long values elided.
#pragma once
#include <cstdint>
#include <string>

#include "worker/format/gguf.h"

namespace bessemer {

// Three aligned tables: metadata, tensors, tensor types with the totals. Lines end in "\n".
std::string inspect_table(const GgufFile& file);

// Three significant digits and a decimal unit: "98.4 MB", "1.5 kB", "17 B"; and "135M", "28.3M",
// "512".
std::string humanize_bytes(uint64_t bytes);
std::string humanize_count(uint64_t count);

}  // namespace bessemer
