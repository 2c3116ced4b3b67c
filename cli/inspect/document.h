// A model file as one JSON document, whole: nothing is elided.
#pragma once
#include "common/json.h"
#include "worker/format/gguf.h"

namespace bessemer {

// {"file", "version", "size_bytes", "alignment",
//  "metadata": {key: {"type", "value"}}, "tensors": [{"name", "type", "shape", "file_offset",
//  "size_bytes"}], "parameters", "tensor_bytes"}
// Floats JSON has no number for are "nan", "inf" and "-inf"; bytes that are not UTF-8 become
// U+FFFD.
json::value inspect_document(const GgufFile& file);

}  // namespace bessemer
