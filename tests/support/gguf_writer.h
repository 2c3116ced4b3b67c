// GGUF files made in memory, for tests. Writes what it is told, right or wrong: the reader's tests
// need both.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common/tensor_type.h"
#include "worker/format/gguf.h"

namespace bessemer::testing {

// Little-endian values one after the other.
class ByteWriter {
 public:
  template <typename T>
  ByteWriter& number(T value) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    const size_t start = bytes_.size();
    bytes_.resize(start + sizeof value);
    std::memcpy(bytes_.data() + start, &value, sizeof value);
    return *this;
  }
  ByteWriter& raw(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  ByteWriter& raw(std::string_view text) { return raw(std::as_bytes(std::span(text))); }
  // Length and text, as GGUF stores strings.
  ByteWriter& string(std::string_view text) { return number<uint64_t>(text.size()).raw(text); }
  ByteWriter& pad_to(size_t alignment) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
    return *this;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// A tensor's entry as it will stand in the file; nothing is checked.
struct TensorEntry {
  std::string name;
  uint32_t type = 0;
  std::vector<uint64_t> shape;
  std::vector<std::byte> data;
  std::optional<uint64_t>
      offset;  // within the data section; absent: behind the tensor before it, aligned
};

class GgufWriter {
 public:
  explicit GgufWriter(uint32_t version = 3) : version_(version) {}

  // `type` and the bytes of the value. The overloads below are this with the right type.
  GgufWriter& entry(const std::string& key, uint32_t type, std::span<const std::byte> value);
  GgufWriter& set(const std::string& key, bool value);
  GgufWriter& set(const std::string& key, std::string_view value);
  GgufWriter& set(const std::string& key, const char* value) {
    return set(key, std::string_view(value));
  }
  template <typename T>
    requires std::is_arithmetic_v<T>
  GgufWriter& set(const std::string& key, T value) {
    return entry(key, static_cast<uint32_t>(type_of(GgufValue(value))),
                 ByteWriter().number(value).bytes());
  }
  template <typename T>
  GgufWriter& set_array(const std::string& key, const std::vector<T>& values) {
    const GgufType type = std::is_same_v<T, bool> ? GgufType::boolean : type_of(GgufValue(T{}));
    ByteWriter bytes;
    bytes.number(type).template number<uint64_t>(values.size());
    for (const T value : values) bytes.number(value);
    return entry(key, static_cast<uint32_t>(GgufType::array), bytes.bytes());
  }
  GgufWriter& set_strings(const std::string& key, const std::vector<std::string>& values);
  GgufWriter& alignment(uint32_t bytes);  // of the data; writes general.alignment

  GgufWriter& tensor(TensorEntry tensor);
  // `shape[0]` is the contiguous dimension.
  GgufWriter& tensor(const std::string& name, TensorType type, std::vector<uint64_t> shape,
                     std::vector<std::byte> data);

  std::vector<std::byte> build() const;
  // Writes the file; CHECKs that it could.
  void write(const std::string& path) const;

 private:
  uint32_t version_;
  uint32_t alignment_ = 32;
  uint64_t entries_ = 0;
  ByteWriter metadata_;
  std::vector<TensorEntry> tensors_;
};

}  // namespace bessemer::testing
