#include "worker/format/gguf_cursor.h"

#include <bit>

#include <fmt/format.h>

#include "common/check.h"
#include "worker/format/printable.h"

namespace bessemer {

static_assert(std::endian::native == std::endian::little, "GGUF numbers are read as they lie");

uint64_t GgufCursor::offset_of(std::string_view text) const {
  return static_cast<uint64_t>(reinterpret_cast<const std::byte*>(text.data()) - bytes_.data());
}

Status GgufCursor::error(const std::string& where, const std::string& what, uint64_t offset) const {
  return absl::InvalidArgumentError(
      fmt::format("{}: {}: {} (at byte {})", file_, where, what, offset));
}

Status GgufCursor::truncated(const std::string& where, std::string_view what) const {
  return error(where,
               fmt::format("the file ends at byte {}, inside {}; is it a partial download?",
                           bytes_.size(), what),
               offset_);
}

Status GgufCursor::check_count(const std::string& where, std::string_view things, uint64_t count,
                               uint64_t min_bytes, uint64_t offset) const {
  if (count <= left() / min_bytes) return absl::OkStatus();
  return error(where,
               fmt::format("{} {} need at least {} bytes each, but {} bytes are left in the file",
                           count, things, min_bytes, left()),
               offset);
}

StatusOr<std::string_view> GgufCursor::string(const std::string& where, std::string_view what) {
  const uint64_t start = offset_;
  ASSIGN_OR_RETURN(const uint64_t length, number<uint64_t>(where, what));
  if (length > left()) {
    const std::string claim = fmt::format(
        "{} is said to have {} bytes, but {} are left in the file", what, length, left());
    return error(where, claim, start);
  }
  const std::span<const std::byte> text = take(length);
  return std::string_view(reinterpret_cast<const char*>(text.data()), text.size());
}

std::span<const std::byte> GgufCursor::take(uint64_t size) {
  CHECK(size <= left());
  const auto taken = bytes_.subspan(static_cast<size_t>(offset_), static_cast<size_t>(size));
  offset_ += size;
  return taken;
}

std::string quoted_name(std::string_view name) {
  constexpr size_t kShownBytes = 80;
  return "'" + printable(name, kShownBytes) + "'";
}

}  // namespace bessemer
