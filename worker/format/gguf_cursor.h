// Walks the bytes of a GGUF file. Reads only what is there; errors name file, place and byte.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "common/status.h"

namespace bessemer {

class GgufCursor {
 public:
  // `file` stands in errors. Both outlive the cursor.
  GgufCursor(std::span<const std::byte> bytes, const std::string& file)
      : bytes_(bytes), file_(file) {}

  std::span<const std::byte> bytes() const { return bytes_; }  // the whole file
  uint64_t offset() const { return offset_; }
  uint64_t left() const { return bytes_.size() - offset_; }
  uint64_t offset_of(std::string_view text) const;  // of a view into the file

  // "file: where: what (at byte offset)". `where`: the key, tensor or part that is wrong, so far as
  // it is known.
  Status error(const std::string& where, const std::string& what, uint64_t offset) const;
  // `count` things of at least `min_bytes` each fit into what is left. `offset`: of the count.
  Status check_count(const std::string& where, std::string_view things, uint64_t count,
                     uint64_t min_bytes, uint64_t offset) const;

  // Each moves on by what it has read. `what` completes "the file ends inside ...".
  template <typename T>
  StatusOr<T> number(const std::string& where, std::string_view what) {
    if (left() < sizeof(T)) return truncated(where, what);
    T value;
    std::memcpy(&value, bytes_.data() + offset_, sizeof value);
    offset_ += sizeof value;
    return value;
  }
  StatusOr<std::string_view> string(const std::string& where, std::string_view what);
  std::span<const std::byte> take(uint64_t size);  // size <= left()

 private:
  Status truncated(const std::string& where, std::string_view what) const;

  const std::span<const std::byte> bytes_;
  const std::string& file_;
  uint64_t offset_ = 0;
};

// A key or name as it stands in an error: escaped, elided, between quotation marks.
std::string quoted_name(std::string_view name);

}  // namespace bessemer
