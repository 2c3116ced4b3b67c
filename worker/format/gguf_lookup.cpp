// Typed access to metadata values.
#include <cstring>
#include <limits>
#include <type_traits>

#include "common/check.h"
#include "worker/format/gguf.h"
#include "worker/format/printable.h"

namespace bessemer {
namespace {

// The integer in `value`, if it is one that an int64 holds.
std::optional<int64_t> as_int(const GgufValue& value) {
  return std::visit(
      [](const auto& held) -> std::optional<int64_t> {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, uint64_t>) {
          constexpr uint64_t kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
          if (held > kMost) return std::nullopt;
          return static_cast<int64_t>(held);
        } else if constexpr (std::is_integral_v<Held> && !std::is_same_v<Held, bool>) {
          return static_cast<int64_t>(held);
        } else {
          return std::nullopt;
        }
      },
      value);
}

std::optional<double> as_float(const GgufValue& value) {
  if (const float* single = std::get_if<float>(&value)) return static_cast<double>(*single);
  if (const double* wide = std::get_if<double>(&value)) return *wide;
  return std::nullopt;
}

std::string about_key(const GgufFile& file, std::string_view key) {
  return file.path() + ": key '" + printable(key, 80) + "'";
}

StatusOr<const GgufValue*> require(const GgufFile& file, std::string_view key) {
  const GgufValue* value = file.find(key);
  if (value == nullptr) return absl::NotFoundError(about_key(file, key) + " is missing");
  return value;
}

Status wrong_type(const GgufFile& file, std::string_view key, const GgufValue& value,
                  const std::string& wanted) {
  const bool huge = type_of(value) == GgufType::u64 && wanted == "an integer";
  return absl::InvalidArgumentError(
      about_key(file, key) +
      (huge ? " is larger than an int64" : " must be " + wanted + ", not " + type_name(value)));
}

template <typename T>
T load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

}  // namespace

StatusOr<std::string> GgufFile::get_string(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufValue* value, require(*this, key));
  const std::string_view* text = std::get_if<std::string_view>(value);
  if (text == nullptr) return wrong_type(*this, key, *value, "a string");
  return std::string(*text);
}

StatusOr<int64_t> GgufFile::get_int(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufValue* value, require(*this, key));
  const std::optional<int64_t> number = as_int(*value);
  if (!number) return wrong_type(*this, key, *value, "an integer");
  return *number;
}

StatusOr<double> GgufFile::get_float(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufValue* value, require(*this, key));
  const std::optional<double> number = as_float(*value);
  if (!number) return wrong_type(*this, key, *value, "a float");
  return *number;
}

StatusOr<bool> GgufFile::get_bool(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufValue* value, require(*this, key));
  const bool* held = std::get_if<bool>(value);
  if (held == nullptr) return wrong_type(*this, key, *value, "a boolean");
  return *held;
}

StatusOr<const GgufArray*> GgufFile::get_array(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufValue* value, require(*this, key));
  const GgufArray* array = std::get_if<GgufArray>(value);
  if (array == nullptr) return wrong_type(*this, key, *value, "an array");
  return array;
}

StatusOr<std::vector<int64_t>> GgufFile::get_ints(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufArray* array, get_array(key));
  std::vector<int64_t> numbers;
  numbers.reserve(static_cast<size_t>(array->count));
  for (uint64_t i = 0; i < array->count; ++i) {
    const GgufValue value = element_at(*array, i);
    const std::optional<int64_t> number = as_int(value);
    if (!number) return wrong_type(*this, key, GgufValue(*array), "an array of integers");
    numbers.push_back(*number);
  }
  return numbers;
}

StatusOr<std::vector<float>> GgufFile::get_floats(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufArray* array, get_array(key));
  std::vector<float> numbers;
  numbers.reserve(static_cast<size_t>(array->count));
  for (uint64_t i = 0; i < array->count; ++i) {
    const std::optional<double> number = as_float(element_at(*array, i));
    if (!number) return wrong_type(*this, key, GgufValue(*array), "an array of floats");
    numbers.push_back(static_cast<float>(*number));
  }
  return numbers;
}

GgufType type_of(const GgufValue& value) {
  // In the order of GgufValue's alternatives.
  static constexpr GgufType kTypes[] = {
      GgufType::u8,  GgufType::i8,  GgufType::u16,     GgufType::i16,    GgufType::u32,
      GgufType::i32, GgufType::f32, GgufType::boolean, GgufType::string, GgufType::array,
      GgufType::u64, GgufType::i64, GgufType::f64};
  static_assert(std::size(kTypes) == std::variant_size_v<GgufValue>);
  return kTypes[value.index()];
}

std::string type_name(GgufType type) {
  static constexpr const char* kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                           "bool", "string", "array", "u64", "i64", "f64"};
  const size_t index = static_cast<size_t>(type);
  CHECK(index < std::size(kNames));
  return kNames[index];
}

std::string type_name(const GgufValue& value) {
  const GgufArray* array = std::get_if<GgufArray>(&value);
  return array != nullptr ? type_name(array->element) + " array" : type_name(type_of(value));
}

size_t size_of(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    case GgufType::string:
    case GgufType::array:
      return 0;
  }
  check_failed("size_of: a GgufType outside its enumerators", __FILE__, __LINE__);
}

GgufValue element_at(const GgufArray& array, uint64_t i) {
  CHECK(i < array.count);
  const size_t index = static_cast<size_t>(i);
  if (array.element == GgufType::string) return array.strings[index];
  const std::byte* bytes = array.bytes.data() + index * size_of(array.element);
  switch (array.element) {
    case GgufType::u8:
      return load<uint8_t>(bytes);
    case GgufType::i8:
      return load<int8_t>(bytes);
    case GgufType::u16:
      return load<uint16_t>(bytes);
    case GgufType::i16:
      return load<int16_t>(bytes);
    case GgufType::u32:
      return load<uint32_t>(bytes);
    case GgufType::i32:
      return load<int32_t>(bytes);
    case GgufType::f32:
      return load<float>(bytes);
    case GgufType::boolean:
      return load<uint8_t>(bytes) == 1;
    case GgufType::u64:
      return load<uint64_t>(bytes);
    case GgufType::i64:
      return load<int64_t>(bytes);
    case GgufType::f64:
      return load<double>(bytes);
    case GgufType::string:
    case GgufType::array:
      break;
  }
  check_failed("element_at: an array of arrays", __FILE__, __LINE__);
}

}  // namespace bessemer
