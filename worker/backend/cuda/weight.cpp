#include "worker/backend/cuda/weight.h"

#include "common/check.h"
#include "worker/backend/host/memory.h"
#include "worker/format/dequantize.h"

namespace bessemer::cuda {
namespace {

// Rows of float weights begin at multiples of this, for loads of 16 bytes.
constexpr int32_t kRowAlignment = 16;

int32_t element_bytes(TensorType type) {
  return traits_of(type).block_bytes;
}

}  // namespace

StatusOr<WeightPtr> CudaWeight::pack(std::span<const WeightPart> parts, const Stream& stream) {
  ASSIGN_OR_RETURN(const int32_t rows, host::check_parts(parts));
  if (parts.front().cols > kMaxColumns) {
    return absl::InvalidArgumentError(
        "weight '" + parts.front().name + "': " + std::to_string(parts.front().cols) +
        " columns; the cuda backend takes up to " + std::to_string(kMaxColumns));
  }
  auto weight = std::make_unique<CudaWeight>();
  weight->out_ = rows;
  weight->in_ = parts.front().cols;
  int32_t first_row = 0;
  for (const WeightPart& part : parts) {
    Segment segment;
    segment.first_row = first_row;
    segment.rows = part.rows;
    RETURN_IF_ERROR(rows == 1              ? weight->add_vector(part, stream, segment)
                    : has_tiles(part.type) ? weight->add_tiles(part, stream, segment)
                                           : weight->add_floats(part, stream, segment));
    if (!part.bias.empty()) {
      ASSIGN_OR_RETURN(void* bias, weight->take(part.bias.size_bytes(), part.name));
      RETURN_IF_ERROR(
          stream.copy(bias, part.bias.data(), part.bias.size_bytes(), "uploading " + part.name));
      segment.bias = static_cast<const float*>(bias);
    }
    weight->segments_.push_back(segment);
    first_row += part.rows;
  }
  return WeightPtr(std::move(weight));
}

StatusOr<void*> CudaWeight::take(size_t bytes, const std::string& name) {
  ASSIGN_OR_RETURN(Memory memory, Memory::make(Place::device, bytes, "weight '" + name + "'"));
  size_bytes_ += bytes;
  return memory_.emplace_back(std::move(memory)).as<void>();
}

// The file's bytes go up as they are, and a kernel lays them out.
Status CudaWeight::add_tiles(const WeightPart& part, const Stream& stream, Segment& segment) {
  ASSIGN_OR_RETURN(void* memory, take(tiles_bytes(part.type, part.rows, part.cols), part.name));
  ASSIGN_OR_RETURN(const Memory raw, Memory::make(Place::device, part.bytes.size(),
                                                  "the upload of '" + part.name + "'"));
  RETURN_IF_ERROR(
      stream.copy(raw.as(), part.bytes.data(), part.bytes.size(), "uploading " + part.name));
  const Tiles tiles = place_tiles(part.type, part.rows, part.cols, memory);
  repack(tiles, raw.as<uint8_t>(), stream.get());
  RETURN_IF_ERROR(cuda_status(cudaGetLastError(), "packing " + part.name));
  segment.matrix = tiles;
  return stream.synchronize("packing " + part.name);
}

Status CudaWeight::add_floats(const WeightPart& part, const Stream& stream, Segment& segment) {
  const int32_t bytes = element_bytes(part.type), unit = kRowAlignment / bytes;
  const auto stride = static_cast<int32_t>(ceil_div(part.cols, unit) * unit);
  const size_t pitch = static_cast<size_t>(stride) * static_cast<size_t>(bytes);
  const size_t row = row_bytes(part.type, part.cols), rows = static_cast<size_t>(part.rows);
  ASSIGN_OR_RETURN(void* memory, take(pitch * rows, part.name));
  if (pitch != row) {
    RETURN_IF_ERROR(cuda_status(cudaMemsetAsync(memory, 0, pitch * rows, stream.get()),
                                "packing " + part.name));
  }
  RETURN_IF_ERROR(cuda_status(cudaMemcpy2DAsync(memory, pitch, part.bytes.data(), row, row, rows,
                                                cudaMemcpyHostToDevice, stream.get()),
                              "uploading " + part.name));
  segment.matrix = FloatWeight{
      .type = part.type, .data = memory, .rows = part.rows, .cols = part.cols, .stride = stride};
  return stream.synchronize("uploading " + part.name);
}

// A norm's weight, or a head with a single output: f32, whatever the file has.
Status CudaWeight::add_vector(const WeightPart& part, const Stream& stream, Segment& segment) {
  std::vector<float> values(static_cast<size_t>(part.cols));
  dequantize(part.type, part.bytes, values);
  WeightPart plain = part;
  plain.type = TensorType::f32;
  plain.bytes = std::as_bytes(std::span(values));
  return add_floats(plain, stream, segment);
}

const float* CudaWeight::vector() const {
  if (out_ != 1) return nullptr;
  return static_cast<const float*>(std::get<FloatWeight>(segments_.front().matrix).data);
}

StatusOr<RopeTablePtr> CudaRopeTable::make(std::span<const double> inverse_frequencies,
                                           int32_t max_positions, float attention_factor,
                                           const Stream& stream) {
  ASSIGN_OR_RETURN(const RopeTablePtr host,
                   host::HostRopeTable::make(inverse_frequencies, max_positions, attention_factor));
  const auto& values = static_cast<const host::HostRopeTable&>(*host);
  const size_t bytes =
      inverse_frequencies.size() * static_cast<size_t>(max_positions) * sizeof(float);
  auto table = std::make_unique<CudaRopeTable>();
  table->pairs_ = values.pairs();
  ASSIGN_OR_RETURN(table->cosines_, Memory::make(Place::device, bytes, "a RoPE table"));
  ASSIGN_OR_RETURN(table->sines_, Memory::make(Place::device, bytes, "a RoPE table"));
  RETURN_IF_ERROR(
      stream.copy(table->cosines_.as(), values.cosines(0), bytes, "uploading a RoPE table"));
  RETURN_IF_ERROR(
      stream.copy(table->sines_.as(), values.sines(0), bytes, "uploading a RoPE table"));
  return RopeTablePtr(std::move(table));
}

}  // namespace bessemer::cuda
