#include "worker/format/gguf_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <type_traits>

#include <fmt/format.h>

#include "worker/format/printable.h"

namespace bessemer {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF numbers are read as they lie");

constexpr std::string_view kMagic = "GGUF";
constexpr uint64_t kLengthBytes = 8;  // before a string, and before an array's elements
constexpr uint64_t kMinEntryBytes = 8 + 1 + 4 + 1;  // key length, key, type, smallest value
constexpr uint64_t kMinTensorBytes =
    8 + 1 + 4 + 4 + 8;                  // name length, name, dimensions, type, offset
constexpr uint32_t kMinAlignment = 8;   // the specification's
constexpr size_t kShownNameBytes = 80;  // of a key or name in an error

std::string quoted(std::string_view name) {
  return "'" + printable(name, kShownNameBytes) + "'";
}

// Types that other programs write and we do not read, so that the error can name them.
std::string_view foreign_type_name(uint32_t type) {
  struct Name {
    uint32_t type;
    std::string_view name;
  };
  static constexpr Name kNames[] = {
      {9, "Q8_1"},   {15, "Q8_K"},   {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"},
      {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"},   {22, "IQ2_S"},  {23, "IQ4_XS"},
      {24, "I8"},    {25, "I16"},    {26, "I32"},     {27, "I64"},    {28, "F64"},
      {29, "IQ1_M"}, {34, "TQ1_0"},  {35, "TQ2_0"},   {39, "MXFP4"}};
  for (const Name& known : kNames) {
    if (known.type == type) return known.name;
  }
  return "unknown";
}

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  StatusOr<GgufContents> read() {
    RETURN_IF_ERROR(read_header());
    RETURN_IF_ERROR(read_metadata());
    RETURN_IF_ERROR(read_alignment());
    RETURN_IF_ERROR(read_tensors());
    RETURN_IF_ERROR(place_tensors());
    RETURN_IF_ERROR(check_overlaps());
    return std::move(out_);
  }

 private:
  uint64_t left() const { return bytes_.size() - offset_; }

  // `where`: the key, tensor or part that is wrong, so far as it is known.
  Status error(const std::string& where, const std::string& what, uint64_t offset) const {
    return absl::InvalidArgumentError(
        fmt::format("{}: {}: {} (at byte {})", file_, where, what, offset));
  }
  Status truncated(const std::string& where, std::string_view what) const {
    return error(where,
                 fmt::format("the file ends at byte {}, inside {}; is it a partial download?",
                             bytes_.size(), what),
                 offset_);
  }

  template <typename T>
  StatusOr<T> number(const std::string& where, std::string_view what) {
    if (left() < sizeof(T)) return truncated(where, what);
    T value;
    std::memcpy(&value, bytes_.data() + offset_, sizeof value);
    offset_ += sizeof value;
    return value;
  }

  StatusOr<std::string_view> string(const std::string& where, std::string_view what) {
    const uint64_t start = offset_;
    ASSIGN_OR_RETURN(const uint64_t length, number<uint64_t>(where, what));
    if (length > left()) {
      const std::string claim = fmt::format(
          "{} is said to have {} bytes, but {} are left in the file", what, length, left());
      return error(where, claim, start);
    }
    const char* text = reinterpret_cast<const char*>(bytes_.data() + offset_);
    offset_ += length;
    return std::string_view(text, static_cast<size_t>(length));
  }

  // A count of things of at least `min_bytes` each.
  Status check_count(const std::string& where, std::string_view things, uint64_t count,
                     uint64_t min_bytes, uint64_t offset) const {
    if (count <= left() / min_bytes) return absl::OkStatus();
    return error(where,
                 fmt::format("{} {} need at least {} bytes each, but {} bytes are left in the file",
                             count, things, min_bytes, left()),
                 offset);
  }

  Status read_header();
  Status read_metadata();
  Status read_entry(uint64_t index);
  StatusOr<GgufValue> read_value(GgufType type, const std::string& where);
  StatusOr<GgufArray> read_array(const std::string& where);
  Status read_strings(GgufArray& array, const std::string& where);
  Status check_booleans(const GgufArray& array, const std::string& where) const;
  Status read_alignment();
  Status read_tensors();
  Status read_tensor(uint64_t index);
  Status read_shape(GgufTensor& tensor, const std::string& where);
  Status read_tensor_type(GgufTensor& tensor, const std::string& where);
  Status place_tensors();
  Status place(GgufTensor& tensor, uint64_t data_start) const;
  Status check_overlaps() const;

  template <typename T>
  StatusOr<GgufValue> number_value(const std::string& where) {
    ASSIGN_OR_RETURN(const T value, number<T>(where, "its value"));
    return GgufValue(value);
  }

  const std::span<const std::byte> bytes_;
  const std::string& file_;
  uint64_t offset_ = 0;
  uint64_t tensor_count_ = 0, entry_count_ = 0;
  uint64_t entry_count_offset_ = 0, tensor_count_offset_ = 0;
  GgufContents out_;
};

Status Reader::read_header() {
  const std::string where = "header";
  const std::string_view start(reinterpret_cast<const char*>(bytes_.data()),
                               std::min<size_t>(bytes_.size(), kMagic.size()));
  if (start != kMagic) {
    const char* remedy =
        start == "vers" ? "; it looks like a Git LFS pointer: fetch the file itself" : "";
    return error(where,
                 "not a GGUF file: it begins with " + quoted(start) + ", not 'GGUF'" + remedy, 0);
  }
  offset_ = kMagic.size();
  ASSIGN_OR_RETURN(out_.version, number<uint32_t>(where, "the version"));
  if (out_.version != 2 && out_.version != 3) {
    const bool swapped = out_.version != 0 && (out_.version & 0xffffu) == 0;
    return error(
        where,
        swapped ? std::string("a big-endian file; convert the model on a little-endian machine")
                : fmt::format("GGUF version {} is not supported, only 2 and 3; convert the "
                              "model again with a current tool",
                              out_.version),
        kMagic.size());
  }
  tensor_count_offset_ = offset_;
  ASSIGN_OR_RETURN(tensor_count_, number<uint64_t>(where, "the tensor count"));
  entry_count_offset_ = offset_;
  ASSIGN_OR_RETURN(entry_count_, number<uint64_t>(where, "the metadata count"));
  return absl::OkStatus();
}

Status Reader::read_metadata() {
  RETURN_IF_ERROR(
      check_count("header", "metadata entries", entry_count_, kMinEntryBytes, entry_count_offset_));
  out_.metadata.reserve(static_cast<size_t>(entry_count_));
  for (uint64_t i = 0; i < entry_count_; ++i) RETURN_IF_ERROR(read_entry(i));
  return absl::OkStatus();
}

Status Reader::read_entry(uint64_t index) {
  const std::string number_name = fmt::format("metadata entry {} of {}", index + 1, entry_count_);
  const uint64_t start = offset_;
  ASSIGN_OR_RETURN(const std::string_view key, string(number_name, "its key"));
  if (key.empty()) return error(number_name, "its key is empty", start);
  if (key.size() > kMaxGgufKeyBytes) {
    return error(
        number_name,
        fmt::format("its key has {} bytes, more than the {} allowed", key.size(), kMaxGgufKeyBytes),
        start);
  }
  const std::string where = "key " + quoted(key);
  const uint64_t type_offset = offset_;
  ASSIGN_OR_RETURN(const uint32_t type, number<uint32_t>(where, "its type"));
  if (type > static_cast<uint32_t>(GgufType::f64)) {
    return error(where, fmt::format("unknown value type {}", type), type_offset);
  }
  ASSIGN_OR_RETURN(GgufValue value, read_value(static_cast<GgufType>(type), where));
  out_.metadata.emplace_back(key, std::move(value));
  return absl::OkStatus();
}

StatusOr<GgufValue> Reader::read_value(GgufType type, const std::string& where) {
  switch (type) {
    case GgufType::u8:
      return number_value<uint8_t>(where);
    case GgufType::i8:
      return number_value<int8_t>(where);
    case GgufType::u16:
      return number_value<uint16_t>(where);
    case GgufType::i16:
      return number_value<int16_t>(where);
    case GgufType::u32:
      return number_value<uint32_t>(where);
    case GgufType::i32:
      return number_value<int32_t>(where);
    case GgufType::u64:
      return number_value<uint64_t>(where);
    case GgufType::i64:
      return number_value<int64_t>(where);
    case GgufType::f32:
      return number_value<float>(where);
    case GgufType::f64:
      return number_value<double>(where);
    case GgufType::boolean: {
      ASSIGN_OR_RETURN(const uint8_t value, number<uint8_t>(where, "its value"));
      if (value > 1) {
        return error(where, fmt::format("a boolean must be 0 or 1, not {}", value), offset_ - 1);
      }
      return GgufValue(value == 1);
    }
    case GgufType::string: {
      ASSIGN_OR_RETURN(const std::string_view value, string(where, "its value"));
      return GgufValue(value);
    }
    case GgufType::array: {
      ASSIGN_OR_RETURN(GgufArray value, read_array(where));
      return GgufValue(std::move(value));
    }
  }
  return error(where, "unknown value type", offset_);
}

StatusOr<GgufArray> Reader::read_array(const std::string& where) {
  const uint64_t type_offset = offset_;
  ASSIGN_OR_RETURN(const uint32_t type, number<uint32_t>(where, "its element type"));
  if (type > static_cast<uint32_t>(GgufType::f64)) {
    return error(where, fmt::format("unknown array element type {}", type), type_offset);
  }
  GgufArray array;
  array.element = static_cast<GgufType>(type);
  if (array.element == GgufType::array) {
    return error(where, "an array of arrays is not supported", type_offset);
  }
  const uint64_t count_offset = offset_;
  ASSIGN_OR_RETURN(array.count, number<uint64_t>(where, "its element count"));
  const bool strings = array.element == GgufType::string;
  const uint64_t element_bytes = strings ? kLengthBytes : size_of(array.element);
  RETURN_IF_ERROR(check_count(where, "array elements", array.count, element_bytes, count_offset));
  if (strings) {
    RETURN_IF_ERROR(read_strings(array, where));
    return array;
  }
  array.bytes = bytes_.subspan(static_cast<size_t>(offset_),
                               static_cast<size_t>(array.count * element_bytes));
  if (array.element == GgufType::boolean) RETURN_IF_ERROR(check_booleans(array, where));
  offset_ += array.bytes.size();
  return array;
}

Status Reader::read_strings(GgufArray& array, const std::string& where) {
  array.strings.reserve(static_cast<size_t>(array.count));
  for (uint64_t i = 0; i < array.count; ++i) {
    ASSIGN_OR_RETURN(const std::string_view text, string(where, "one of its elements"));
    array.strings.push_back(text);
  }
  return absl::OkStatus();
}

Status Reader::check_booleans(const GgufArray& array, const std::string& where) const {
  const auto wrong = std::find_if(array.bytes.begin(), array.bytes.end(), [](std::byte value) {
    return std::to_integer<uint8_t>(value) > 1;
  });
  if (wrong == array.bytes.end()) return absl::OkStatus();
  const uint64_t index = static_cast<uint64_t>(wrong - array.bytes.begin());
  return error(where,
               fmt::format("a boolean must be 0 or 1, not {} (element {})",
                           std::to_integer<int>(*wrong), index),
               offset_ + index);
}

Status Reader::read_alignment() {
  for (const auto& [key, value] : out_.metadata) {
    if (key != "general.alignment") continue;
    const uint64_t offset =
        static_cast<uint64_t>(reinterpret_cast<const std::byte*>(key.data()) - bytes_.data());
    const uint32_t* alignment = std::get_if<uint32_t>(&value);
    if (alignment == nullptr) {
      return error("key 'general.alignment'", "must be a u32, not " + type_name(value), offset);
    }
    if (*alignment < kMinAlignment || !std::has_single_bit(*alignment)) {
      return error(
          "key 'general.alignment'",
          fmt::format("must be a power of two from {} up, not {}", kMinAlignment, *alignment),
          offset);
    }
    out_.alignment = *alignment;
  }
  return absl::OkStatus();
}

Status Reader::read_tensors() {
  RETURN_IF_ERROR(
      check_count("header", "tensors", tensor_count_, kMinTensorBytes, tensor_count_offset_));
  out_.tensors.reserve(static_cast<size_t>(tensor_count_));
  for (uint64_t i = 0; i < tensor_count_; ++i) RETURN_IF_ERROR(read_tensor(i));
  return absl::OkStatus();
}

// `file_offset` is the stored one, relative to the data section, until place_tensors().
Status Reader::read_tensor(uint64_t index) {
  const std::string number_name = fmt::format("tensor {} of {}", index + 1, tensor_count_);
  const uint64_t start = offset_;
  GgufTensor tensor;
  ASSIGN_OR_RETURN(tensor.name, string(number_name, "its name"));
  if (tensor.name.empty()) return error(number_name, "its name is empty", start);
  if (tensor.name.size() > kMaxGgufTensorNameBytes) {
    const std::string what = fmt::format("its name has {} bytes, more than the {} allowed",
                                         tensor.name.size(), kMaxGgufTensorNameBytes);
    return error(number_name, what, start);
  }
  const std::string where = "tensor " + quoted(tensor.name);
  RETURN_IF_ERROR(read_shape(tensor, where));
  RETURN_IF_ERROR(read_tensor_type(tensor, where));
  const uint64_t offset_offset = offset_;
  ASSIGN_OR_RETURN(tensor.file_offset, number<uint64_t>(where, "its offset"));
  if (tensor.file_offset % out_.alignment != 0) {
    return error(where,
                 fmt::format("its data offset {} is no multiple of the file's alignment {}",
                             tensor.file_offset, out_.alignment),
                 offset_offset);
  }
  out_.tensors.push_back(std::move(tensor));
  return absl::OkStatus();
}

Status Reader::read_shape(GgufTensor& tensor, const std::string& where) {
  const uint64_t count_offset = offset_;
  ASSIGN_OR_RETURN(const uint32_t dimensions, number<uint32_t>(where, "its number of dimensions"));
  if (dimensions > kMaxGgufDimensions) {
    return error(
        where,
        fmt::format("{} dimensions, more than the {} allowed", dimensions, kMaxGgufDimensions),
        count_offset);
  }
  uint64_t values = 1;
  for (uint32_t i = 0; i < dimensions; ++i) {
    ASSIGN_OR_RETURN(const uint64_t size, number<uint64_t>(where, "its shape"));
    if (size == 0 || size > kMaxGgufDimension) {
      return error(
          where,
          fmt::format("dimension {} is {}, not between 1 and {}", i, size, kMaxGgufDimension),
          offset_ - sizeof size);
    }
    // No type takes less than a quarter of a byte per value.
    if (__builtin_mul_overflow(values, size, &values) || values / 4 > bytes_.size()) {
      return error(
          where,
          fmt::format("its shape has more values than a file of {} bytes can hold", bytes_.size()),
          count_offset);
    }
    tensor.shape.push_back(static_cast<int64_t>(size));
  }
  return absl::OkStatus();
}

Status Reader::read_tensor_type(GgufTensor& tensor, const std::string& where) {
  const uint64_t type_offset = offset_;
  ASSIGN_OR_RETURN(const uint32_t type, number<uint32_t>(where, "its type"));
  const std::optional<TensorTypeTraits> traits = tensor_type_traits(type);
  if (!traits) {
    return error(
        where,
        fmt::format("tensor type {} ({}) is not supported; use a file with F32, F16, BF16, Q4_0, "
                    "Q4_1, Q5_0, Q5_1, Q8_0 or Q2_K to Q6_K",
                    type, foreign_type_name(type)),
        type_offset);
  }
  tensor.type = traits->type;
  if (tensor.cols() % traits->block_values != 0) {
    return error(where,
                 fmt::format("rows of {} values are no multiple of {}'s block of {}", tensor.cols(),
                             std::string(traits->name), traits->block_values),
                 type_offset);
  }
  return absl::OkStatus();
}

Status Reader::place_tensors() {
  const uint64_t padding = (out_.alignment - offset_ % out_.alignment) % out_.alignment;
  const uint64_t data_start = offset_ + padding;
  for (GgufTensor& tensor : out_.tensors) RETURN_IF_ERROR(place(tensor, data_start));
  return absl::OkStatus();
}

Status Reader::place(GgufTensor& tensor, uint64_t data_start) const {
  const uint64_t room = bytes_.size() - std::min<uint64_t>(data_start, bytes_.size());
  // Cannot overflow: read_shape() has bounded the values by four times the file's size.
  const uint64_t size =
      row_bytes(tensor.type, tensor.cols()) * static_cast<uint64_t>(tensor.rows());
  if (tensor.file_offset > room || size > room - tensor.file_offset) {
    return error(
        "tensor " + quoted(tensor.name),
        fmt::format("its {} bytes at offset {} of the data reach past the end of the file, which "
                    "has {} bytes of data; is it a partial download?",
                    size, tensor.file_offset, room),
        data_start);
  }
  tensor.file_offset += data_start;
  tensor.bytes = bytes_.subspan(static_cast<size_t>(tensor.file_offset), static_cast<size_t>(size));
  return absl::OkStatus();
}

Status Reader::check_overlaps() const {
  std::vector<const GgufTensor*> by_offset;
  by_offset.reserve(out_.tensors.size());
  for (const GgufTensor& tensor : out_.tensors) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(), [](const GgufTensor* a, const GgufTensor* b) {
    return a->file_offset < b->file_offset;
  });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const GgufTensor &before = *by_offset[i - 1], &tensor = *by_offset[i];
    if (before.file_offset + before.bytes.size() <= tensor.file_offset) continue;
    return error("tensor " + quoted(tensor.name),
                 "its data overlaps that of " + quoted(before.name), tensor.file_offset);
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<GgufContents> read_gguf(std::span<const std::byte> bytes, const std::string& file) {
  return Reader(bytes, file).read();
}

}  // namespace bessemer
