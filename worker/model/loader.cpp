#include "worker/model/loader.h"

#include <limits>
#include <utility>

#include <fmt/format.h>

#include "worker/format/dequantize.h"

namespace bessemer {
namespace {

// Columns [at, at + count) of every row, gathered; both are multiples of the type's block.
std::vector<std::byte> take_columns(const GgufTensor& tensor, int64_t at, int64_t count) {
  const size_t stride = row_bytes(tensor.type, tensor.cols());
  const size_t skip = row_bytes(tensor.type, at), take = row_bytes(tensor.type, count);
  std::vector<std::byte> gathered(static_cast<size_t>(tensor.rows()) * take);
  for (size_t row = 0; row < static_cast<size_t>(tensor.rows()); ++row) {
    const auto source = tensor.bytes.subspan(row * stride + skip, take);
    std::copy(source.begin(), source.end(), gathered.begin() + static_cast<ptrdiff_t>(row * take));
  }
  return gathered;
}

}  // namespace

Loader::Loader(const GgufFile& file, Backend& backend, Rank rank, Progress progress)
    : file_(file), backend_(backend), rank_(rank), progress_(std::move(progress)) {
  for (const GgufTensor& tensor : file.tensors()) total_bytes_ += tensor.bytes.size();
}

StatusOr<WeightPtr> Loader::columns(std::span<const Tensor> stack) {
  std::vector<WeightPart> parts;
  std::vector<std::vector<float>> biases;
  biases.reserve(stack.size());  // the parts hold views of them
  for (const Tensor& tensor : stack) {
    ASSIGN_OR_RETURN(const GgufTensor* found, find(tensor));
    if (tensor.rows % (int64_t{tensor.unit} * rank_.count) != 0) {
      return wrong(tensor.name, fmt::format("{} rows in units of {} do not divide over {} ranks",
                                            tensor.rows, tensor.unit, rank_.count));
    }
    const int64_t share = tensor.rows / rank_.count;
    const auto first = static_cast<size_t>(share * rank_.index), count = static_cast<size_t>(share);
    const size_t row = row_bytes(found->type, tensor.cols);
    ASSIGN_OR_RETURN(auto bias, bias_of(tensor));
    biases.push_back(std::move(bias));
    std::span<const float> own = biases.back();
    if (!own.empty()) own = own.subspan(first, count);
    parts.push_back({std::string(found->name), found->type,
                     found->bytes.subspan(first * row, count * row), static_cast<int32_t>(share),
                     static_cast<int32_t>(tensor.cols), own});
  }
  return pack(parts);
}

StatusOr<WeightPtr> Loader::rows(const Tensor& tensor) {
  ASSIGN_OR_RETURN(const GgufTensor* found, find(tensor));
  const int64_t block = traits_of(found->type).block_values;
  if (tensor.cols % (block * rank_.count) != 0) {
    return wrong(tensor.name, fmt::format("{} columns in blocks of {} do not divide over {} ranks",
                                          tensor.cols, block, rank_.count));
  }
  const int64_t share = tensor.cols / rank_.count;
  std::vector<std::byte> gathered;
  if (rank_.count > 1) gathered = take_columns(*found, share * rank_.index, share);
  const std::span<const std::byte> own = rank_.count > 1 ? gathered : found->bytes;
  ASSIGN_OR_RETURN(const std::vector<float> bias, bias_of(tensor));
  // The partial products are summed over the ranks: the bias may enter once only.
  const WeightPart part{std::string(found->name),
                        found->type,
                        own,
                        static_cast<int32_t>(tensor.rows),
                        static_cast<int32_t>(share),
                        rank_.index == 0 ? std::span<const float>(bias) : std::span<const float>()};
  return pack(std::span(&part, 1));
}

StatusOr<WeightPtr> Loader::whole(const Tensor& tensor) {
  ASSIGN_OR_RETURN(const GgufTensor* found, find(tensor));
  const WeightPart part{std::string(found->name),
                        found->type,
                        found->bytes,
                        static_cast<int32_t>(tensor.rows),
                        static_cast<int32_t>(tensor.cols),
                        {}};
  return pack(std::span(&part, 1));
}

StatusOr<const GgufTensor*> Loader::find(const Tensor& tensor) {
  const std::string name = tensor.name + ".weight";
  const GgufTensor* found = file_.tensor(name);
  if (found == nullptr) return wrong(name, "is missing");
  if (found->rows() != tensor.rows || found->cols() != tensor.cols) {
    return wrong(name, fmt::format("has {} rows of {}, but the metadata calls for {} rows of {}",
                                   found->rows(), found->cols(), tensor.rows, tensor.cols));
  }
  CHECK(tensor.rows <= std::numeric_limits<int32_t>::max());
  claim(name);
  parameters_ += static_cast<uint64_t>(tensor.rows) * static_cast<uint64_t>(tensor.cols);
  done_bytes_ += found->bytes.size();
  return found;
}

StatusOr<std::vector<float>> Loader::bias_of(const Tensor& tensor) {
  const std::string name = tensor.name + ".bias";
  const GgufTensor* found = file_.tensor(name);
  if (found == nullptr) return std::vector<float>();
  if (found->rows() != 1 || found->cols() != tensor.rows) {
    return wrong(name,
                 fmt::format("must be {} values, one for each row of the weight", tensor.rows));
  }
  claim(name);
  parameters_ += static_cast<uint64_t>(tensor.rows);
  done_bytes_ += found->bytes.size();
  std::vector<float> values(static_cast<size_t>(tensor.rows));
  dequantize(found->type, found->bytes, values);
  return values;
}

StatusOr<WeightPtr> Loader::pack(std::span<const WeightPart> parts) {
  StatusOr<WeightPtr> packed = backend_.pack(parts);
  if (!packed.ok()) return annotate(packed.status(), file_.path());
  packed_bytes_ += (*packed)->size_bytes();
  if (progress_) progress_(done_bytes_, total_bytes_);
  return packed;
}

Status Loader::check_all_claimed() const {
  for (const GgufTensor& tensor : file_.tensors()) {
    if (!claimed_.contains(tensor.name)) {
      return wrong(std::string(tensor.name),
                   "belongs to no part of this architecture: the file describes another model");
    }
  }
  return absl::OkStatus();
}

Status Loader::wrong(const std::string& name, const std::string& what) const {
  return absl::InvalidArgumentError(file_.path() + ": tensor " + name + " " + what);
}

}  // namespace bessemer
