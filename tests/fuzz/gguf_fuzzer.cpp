// libFuzzer: any bytes as a GGUF file; parsed, its vocabulary and configuration read, its small tensors dequantised,
// every look-up tried. Run with -rss_limit_mb and -malloc_limit_mb: a huge allocation for a small
// file is a finding.
#include <vector>

#include "common/check.h"
#include "worker/format/dequantize.h"
#include "worker/format/gguf.h"
#include "worker/format/printable.h"
#include "worker/format/vocabulary.h"
#include "worker/model/config.h"

namespace {

constexpr int64_t kMaxValues = 1 << 14;  // of a tensor that is dequantised; keeps one run short

using namespace bessemer;

void try_look_ups(const GgufFile& file) {
  for (const auto& [key, value] : file.metadata()) {
    CHECK(file.find(key) == &value);
    (void)file.get_string(key);
    (void)file.get_int(key);
    (void)file.get_float(key);
    (void)file.get_bool(key);
    (void)file.get_ints(key);
    (void)file.get_floats(key);
    (void)printable(key, 64);
  }
}

void try_tensors(const GgufFile& file, const uint8_t* data) {
  for (const GgufTensor& tensor : file.tensors()) {
    CHECK(file.tensor(tensor.name) == &tensor);
    CHECK(tensor.bytes.data() == reinterpret_cast<const std::byte*>(data) + tensor.file_offset);
    const int64_t values = tensor.cols() * tensor.rows();
    if (values > kMaxValues) continue;
    std::vector<float> out(static_cast<size_t>(values));
    dequantize(tensor.type, tensor.bytes, out);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::span(reinterpret_cast<const std::byte*>(data), size);
  const auto file = GgufFile::parse(bytes, "fuzz");
  if (!file.ok()) return 0;
  try_look_ups(**file);
  try_tensors(**file, data);
  if (const auto vocabulary = read_vocabulary(**file); vocabulary.ok()) {
    v1::Vocabulary again;  // what a router gets
    CHECK(again.ParseFromString(vocabulary->SerializeAsString()));
    CHECK(again.tokens_size() == vocabulary->tokens_size());
  }
  if (const auto config = read_decoder_config(**file, "llama"); config.ok()) {
    CHECK(config->heads % config->kv_heads == 0 && config->context >= 2);
  }
  return 0;
}
