#include "tests/support/gguf_writer.h"

#include <algorithm>
#include <fstream>

#include "common/check.h"

namespace bessemer::testing {

GgufWriter& GgufWriter::entry(const std::string& key, uint32_t type,
                              std::span<const std::byte> value) {
  metadata_.string(key).number(type).raw(value);
  ++entries_;
  return *this;
}

GgufWriter& GgufWriter::set(const std::string& key, bool value) {
  return entry(key, static_cast<uint32_t>(GgufType::boolean),
               ByteWriter().number<uint8_t>(value).bytes());
}

GgufWriter& GgufWriter::set(const std::string& key, std::string_view value) {
  return entry(key, static_cast<uint32_t>(GgufType::string), ByteWriter().string(value).bytes());
}

GgufWriter& GgufWriter::set_strings(const std::string& key,
                                    const std::vector<std::string>& values) {
  ByteWriter bytes;
  bytes.number(GgufType::string).number<uint64_t>(values.size());
  for (const std::string& value : values) bytes.string(value);
  return entry(key, static_cast<uint32_t>(GgufType::array), bytes.bytes());
}

GgufWriter& GgufWriter::alignment(uint32_t bytes) {
  alignment_ = bytes;
  return set("general.alignment", bytes);
}

GgufWriter& GgufWriter::tensor(TensorEntry tensor) {
  tensors_.push_back(std::move(tensor));
  return *this;
}

GgufWriter& GgufWriter::tensor(const std::string& name, TensorType type,
                               std::vector<uint64_t> shape, std::vector<std::byte> data) {
  return tensor(
      {name, static_cast<uint32_t>(type), std::move(shape), std::move(data), std::nullopt});
}

std::vector<std::byte> GgufWriter::build() const {
  ByteWriter out, data;
  out.raw("GGUF")
      .number(version_)
      .number<uint64_t>(tensors_.size())
      .number(entries_)
      .raw(metadata_.bytes());
  for (const TensorEntry& tensor : tensors_) {
    data.pad_to(alignment_);
    out.string(tensor.name).number(static_cast<uint32_t>(tensor.shape.size()));
    for (const uint64_t size : tensor.shape) out.number(size);
    out.number(tensor.type).number<uint64_t>(tensor.offset.value_or(data.bytes().size()));
    data.raw(tensor.data);
  }
  if (!tensors_.empty()) out.pad_to(alignment_).raw(data.bytes());
  return out.bytes();
}

void GgufWriter::write(const std::string& path) const {
  const std::vector<std::byte> bytes = build();
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  CHECK(file.good());
}

}  // namespace bessemer::testing
