// Tensor entries and where their data lies.
#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "worker/format/gguf_reader.h"

namespace bessemer {
namespace {

// Name length, name, number of dimensions, type, offset.
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 4 + 8;

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

Status read_shape(GgufCursor& in, GgufTensor& tensor, const std::string& where) {
  const uint64_t count_offset = in.offset();
  ASSIGN_OR_RETURN(const uint32_t dimensions,
                   in.number<uint32_t>(where, "its number of dimensions"));
  if (dimensions > kMaxGgufDimensions) {
    return in.error(
        where,
        fmt::format("{} dimensions, more than the {} allowed", dimensions, kMaxGgufDimensions),
        count_offset);
  }
  uint64_t values = 1;
  for (uint32_t i = 0; i < dimensions; ++i) {
    ASSIGN_OR_RETURN(const uint64_t size, in.number<uint64_t>(where, "its shape"));
    if (size == 0 || size > kMaxGgufDimension) {
      return in.error(
          where,
          fmt::format("dimension {} is {}, not between 1 and {}", i, size, kMaxGgufDimension),
          in.offset() - sizeof size);
    }
    // No type takes less than a quarter of a byte per value.
    if (__builtin_mul_overflow(values, size, &values) || values / 4 > in.bytes().size()) {
      return in.error(where,
                      fmt::format("its shape has more values than a file of {} bytes can hold",
                                  in.bytes().size()),
                      count_offset);
    }
    tensor.shape.push_back(static_cast<int64_t>(size));
  }
  return absl::OkStatus();
}

Status read_tensor_type(GgufCursor& in, GgufTensor& tensor, const std::string& where) {
  const uint64_t type_offset = in.offset();
  ASSIGN_OR_RETURN(const uint32_t type, in.number<uint32_t>(where, "its type"));
  const std::optional<TensorTypeTraits> traits = tensor_type_traits(type);
  if (!traits) {
    return in.error(
        where,
        fmt::format("tensor type {} ({}) is not supported; use a file with F32, F16, BF16, Q4_0, "
                    "Q4_1, Q5_0, Q5_1, Q8_0 or Q2_K to Q6_K",
                    type, foreign_type_name(type)),
        type_offset);
  }
  tensor.type = traits->type;
  if (tensor.cols() % traits->block_values != 0) {
    return in.error(where,
                    fmt::format("rows of {} values are no multiple of {}'s block of {}",
                                tensor.cols(), std::string(traits->name), traits->block_values),
                    type_offset);
  }
  return absl::OkStatus();
}

// `file_offset` is the stored one, relative to the data section, until place().
StatusOr<GgufTensor> read_tensor(GgufCursor& in, const std::string& number_name,
                                 uint32_t alignment) {
  const uint64_t start = in.offset();
  GgufTensor tensor;
  ASSIGN_OR_RETURN(tensor.name, in.string(number_name, "its name"));
  if (tensor.name.empty()) return in.error(number_name, "its name is empty", start);
  if (tensor.name.size() > kMaxGgufTensorNameBytes) {
    const std::string what = fmt::format("its name has {} bytes, more than the {} allowed",
                                         tensor.name.size(), kMaxGgufTensorNameBytes);
    return in.error(number_name, what, start);
  }
  const std::string where = "tensor " + quoted_name(tensor.name);
  RETURN_IF_ERROR(read_shape(in, tensor, where));
  RETURN_IF_ERROR(read_tensor_type(in, tensor, where));
  const uint64_t offset_offset = in.offset();
  ASSIGN_OR_RETURN(tensor.file_offset, in.number<uint64_t>(where, "its offset"));
  if (tensor.file_offset % alignment != 0) {
    return in.error(where,
                    fmt::format("its data offset {} is no multiple of the file's alignment {}",
                                tensor.file_offset, alignment),
                    offset_offset);
  }
  return tensor;
}

// Finds the tensor's bytes in the data section, which begins at `data_start`.
Status place(const GgufCursor& in, GgufTensor& tensor, uint64_t data_start) {
  const uint64_t room = in.bytes().size() - std::min<uint64_t>(data_start, in.bytes().size());
  // Cannot overflow: read_shape() has bounded the values by four times the file's size.
  const uint64_t size =
      row_bytes(tensor.type, tensor.cols()) * static_cast<uint64_t>(tensor.rows());
  if (tensor.file_offset > room || size > room - tensor.file_offset) {
    return in.error(
        "tensor " + quoted_name(tensor.name),
        fmt::format("its {} bytes at offset {} of the data reach past the end of the file, which "
                    "has {} bytes of data; is it a partial download?",
                    size, tensor.file_offset, room),
        data_start);
  }
  tensor.file_offset += data_start;
  tensor.bytes =
      in.bytes().subspan(static_cast<size_t>(tensor.file_offset), static_cast<size_t>(size));
  return absl::OkStatus();
}

Status check_overlaps(const GgufCursor& in, const std::vector<GgufTensor>& tensors) {
  std::vector<const GgufTensor*> by_offset;
  by_offset.reserve(tensors.size());
  for (const GgufTensor& tensor : tensors) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(), [](const GgufTensor* a, const GgufTensor* b) {
    return a->file_offset < b->file_offset;
  });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const GgufTensor &before = *by_offset[i - 1], &tensor = *by_offset[i];
    if (before.file_offset + before.bytes.size() <= tensor.file_offset) continue;
    return in.error("tensor " + quoted_name(tensor.name),
                    "its data overlaps that of " + quoted_name(before.name), tensor.file_offset);
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::vector<GgufTensor>> read_tensors(GgufCursor& in, uint64_t count,
                                               uint64_t count_offset, uint32_t alignment) {
  RETURN_IF_ERROR(in.check_count("header", "tensors", count, kMinTensorBytes, count_offset));
  std::vector<GgufTensor> tensors;
  tensors.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) {
    const std::string number_name = fmt::format("tensor {} of {}", i + 1, count);
    ASSIGN_OR_RETURN(GgufTensor tensor, read_tensor(in, number_name, alignment));
    tensors.push_back(std::move(tensor));
  }
  const uint64_t padding = (alignment - in.offset() % alignment) % alignment;
  for (GgufTensor& tensor : tensors) RETURN_IF_ERROR(place(in, tensor, in.offset() + padding));
  RETURN_IF_ERROR(check_overlaps(in, tensors));
  return tensors;
}

}  // namespace bessemer
