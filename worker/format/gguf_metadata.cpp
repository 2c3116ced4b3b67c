// Metadata: keys and values of every type.
#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "worker/format/gguf_reader.h"

namespace bessemer {
namespace {

constexpr uint64_t kLengthBytes = 8;                // of a string
constexpr uint64_t kMinEntryBytes = 8 + 1 + 4 + 1;  // key length, key, type, smallest value

template <typename T>
StatusOr<GgufValue> number_value(GgufCursor& in, const std::string& where) {
  ASSIGN_OR_RETURN(const T value, in.number<T>(where, "its value"));
  return GgufValue(value);
}

StatusOr<GgufValue> boolean_value(GgufCursor& in, const std::string& where) {
  const uint64_t start = in.offset();
  ASSIGN_OR_RETURN(const uint8_t value, in.number<uint8_t>(where, "its value"));
  if (value > 1)
    return in.error(where, fmt::format("a boolean must be 0 or 1, not {}", value), start);
  return GgufValue(value == 1);
}

// `offset`: of the array's bytes.
Status check_booleans(const GgufCursor& in, const GgufArray& array, const std::string& where,
                      uint64_t offset) {
  const auto wrong = std::find_if(array.bytes.begin(), array.bytes.end(), [](std::byte value) {
    return std::to_integer<uint8_t>(value) > 1;
  });
  if (wrong == array.bytes.end()) return absl::OkStatus();
  const uint64_t index = static_cast<uint64_t>(wrong - array.bytes.begin());
  return in.error(where,
                  fmt::format("a boolean must be 0 or 1, not {} (element {})",
                              std::to_integer<int>(*wrong), index),
                  offset + index);
}

Status read_strings(GgufCursor& in, GgufArray& array, const std::string& where) {
  array.strings.reserve(static_cast<size_t>(array.count));
  for (uint64_t i = 0; i < array.count; ++i) {
    ASSIGN_OR_RETURN(const std::string_view text, in.string(where, "one of its elements"));
    array.strings.push_back(text);
  }
  return absl::OkStatus();
}

StatusOr<GgufArray> read_array(GgufCursor& in, const std::string& where) {
  const uint64_t type_offset = in.offset();
  ASSIGN_OR_RETURN(const uint32_t type, in.number<uint32_t>(where, "its element type"));
  if (type > static_cast<uint32_t>(GgufType::f64)) {
    return in.error(where, fmt::format("unknown array element type {}", type), type_offset);
  }
  GgufArray array;
  array.element = static_cast<GgufType>(type);
  if (array.element == GgufType::array) {
    return in.error(where, "an array of arrays is not supported", type_offset);
  }
  const uint64_t count_offset = in.offset();
  ASSIGN_OR_RETURN(array.count, in.number<uint64_t>(where, "its element count"));
  const bool strings = array.element == GgufType::string;
  const uint64_t element_bytes = strings ? kLengthBytes : size_of(array.element);
  RETURN_IF_ERROR(
      in.check_count(where, "array elements", array.count, element_bytes, count_offset));
  if (strings) {
    RETURN_IF_ERROR(read_strings(in, array, where));
    return array;
  }
  const uint64_t start = in.offset();
  array.bytes = in.take(array.count * element_bytes);
  if (array.element == GgufType::boolean) RETURN_IF_ERROR(check_booleans(in, array, where, start));
  return array;
}

StatusOr<GgufValue> read_value(GgufCursor& in, GgufType type, const std::string& where) {
  switch (type) {
    case GgufType::u8:
      return number_value<uint8_t>(in, where);
    case GgufType::i8:
      return number_value<int8_t>(in, where);
    case GgufType::u16:
      return number_value<uint16_t>(in, where);
    case GgufType::i16:
      return number_value<int16_t>(in, where);
    case GgufType::u32:
      return number_value<uint32_t>(in, where);
    case GgufType::i32:
      return number_value<int32_t>(in, where);
    case GgufType::u64:
      return number_value<uint64_t>(in, where);
    case GgufType::i64:
      return number_value<int64_t>(in, where);
    case GgufType::f32:
      return number_value<float>(in, where);
    case GgufType::f64:
      return number_value<double>(in, where);
    case GgufType::boolean:
      return boolean_value(in, where);
    case GgufType::string: {
      ASSIGN_OR_RETURN(const std::string_view value, in.string(where, "its value"));
      return GgufValue(value);
    }
    case GgufType::array: {
      ASSIGN_OR_RETURN(GgufArray value, read_array(in, where));
      return GgufValue(std::move(value));
    }
  }
  return in.error(where, "unknown value type", in.offset());
}

// `number_name`: what stands in errors until the key is known.
Status read_entry(GgufCursor& in, const std::string& number_name, GgufMetadata& out) {
  const uint64_t start = in.offset();
  ASSIGN_OR_RETURN(const std::string_view key, in.string(number_name, "its key"));
  if (key.empty()) return in.error(number_name, "its key is empty", start);
  if (key.size() > kMaxGgufKeyBytes) {
    return in.error(
        number_name,
        fmt::format("its key has {} bytes, more than the {} allowed", key.size(), kMaxGgufKeyBytes),
        start);
  }
  const std::string where = "key " + quoted_name(key);
  const uint64_t type_offset = in.offset();
  ASSIGN_OR_RETURN(const uint32_t type, in.number<uint32_t>(where, "its type"));
  if (type > static_cast<uint32_t>(GgufType::f64)) {
    return in.error(where, fmt::format("unknown value type {}", type), type_offset);
  }
  ASSIGN_OR_RETURN(GgufValue value, read_value(in, static_cast<GgufType>(type), where));
  out.emplace_back(key, std::move(value));
  return absl::OkStatus();
}

}  // namespace

StatusOr<GgufMetadata> read_metadata(GgufCursor& in, uint64_t count, uint64_t count_offset) {
  RETURN_IF_ERROR(
      in.check_count("header", "metadata entries", count, kMinEntryBytes, count_offset));
  GgufMetadata out;
  out.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) {
    RETURN_IF_ERROR(read_entry(in, fmt::format("metadata entry {} of {}", i + 1, count), out));
  }
  return out;
}

}  // namespace bessemer
