#include "worker/backend/host/memory.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "common/check.h"

namespace bessemer::host {

StatusOr<std::unique_ptr<Buffer>> HostBuffer::make(size_t bytes) {
  Array<std::byte> memory = allocate_array<std::byte>(bytes);
  if (!memory) {
    return absl::ResourceExhaustedError("cannot allocate " + std::to_string(bytes) +
                                        " bytes for activations");
  }
  std::memset(memory.get(), 0, bytes);
  return std::unique_ptr<Buffer>(new HostBuffer(std::move(memory), bytes));
}

void HostBuffer::read(size_t offset, std::span<std::byte> to) {
  CHECK(offset <= size_bytes_ && to.size() <= size_bytes_ - offset);
  if (!to.empty()) std::memcpy(to.data(), bytes_.get() + offset, to.size());
}

void HostBuffer::write(size_t offset, std::span<const std::byte> from) {
  CHECK(offset <= size_bytes_ && from.size() <= size_bytes_ - offset);
  if (!from.empty()) std::memcpy(bytes_.get() + offset, from.data(), from.size());
}

namespace {

DeviceInts handle(const std::vector<int32_t>& values) {
  return {values.data(), static_cast<int32_t>(values.size())};
}

}  // namespace

void check_step(const StepInputs& inputs) {
  CHECK(inputs.ids.size() == inputs.positions.size());
  CHECK(!inputs.query_start.empty() && inputs.query_start.front() == 0);
  CHECK(inputs.query_start.back() <= static_cast<int32_t>(inputs.ids.size()));
  const size_t sequences = inputs.query_start.size() - 1;
  for (const StepInputs::Group& group : inputs.groups) {
    CHECK(group.store_at.size() == inputs.ids.size());
    CHECK(group.kv_len.size() == sequences);
    CHECK(group.table.size() >= sequences * static_cast<size_t>(group.table_stride));
  }
}

void StepRing::upload(const StepInputs& inputs, Batch& batch) {
  check_step(inputs);
  StepInputs& slot = slots_[next_++ % kStepsInFlight];
  slot = inputs;
  batch.rows = static_cast<int32_t>(slot.ids.size());
  batch.sequences = static_cast<int32_t>(slot.query_start.size()) - 1;
  batch.ids = handle(slot.ids);
  batch.positions = handle(slot.positions);
  batch.query_start = handle(slot.query_start);
  batch.out_rows = handle(slot.out_rows);
  batch.longest_query = batch.longest_kv = 0;
  for (int32_t s = 0; s < batch.sequences; ++s) {
    const auto at = static_cast<size_t>(s);
    batch.longest_query =
        std::max(batch.longest_query, slot.query_start[at + 1] - slot.query_start[at]);
  }
  batch.groups.clear();
  for (const StepInputs::Group& group : slot.groups) {
    batch.groups.push_back({.store_at = handle(group.store_at),
                            .table = handle(group.table),
                            .kv_len = handle(group.kv_len),
                            .table_stride = group.table_stride});
    for (const int32_t length : group.kv_len) batch.longest_kv = std::max(batch.longest_kv, length);
  }
}

StatusOr<RopeTablePtr> HostRopeTable::make(std::span<const double> inverse_frequencies,
                                           int32_t max_positions, float attention_factor) {
  if (inverse_frequencies.empty() || max_positions <= 0) {
    return absl::InvalidArgumentError(
        "a RoPE table needs at least one frequency and one position, got " +
        std::to_string(inverse_frequencies.size()) + " and " + std::to_string(max_positions));
  }
  auto table = std::make_unique<HostRopeTable>();
  table->pairs_ = static_cast<int32_t>(inverse_frequencies.size());
  table->positions_ = max_positions;
  const size_t count = inverse_frequencies.size() * static_cast<size_t>(max_positions);
  table->cosines_ = allocate_array<float>(count);
  table->sines_ = allocate_array<float>(count);
  if (!table->cosines_ || !table->sines_) {
    return absl::ResourceExhaustedError("cannot allocate " +
                                        std::to_string(2 * count * sizeof(float)) +
                                        " bytes for a RoPE table; lower --max-model-len");
  }
  const auto factor = static_cast<double>(attention_factor);
  size_t at = 0;
  for (int32_t position = 0; position < max_positions; ++position) {
    for (const double frequency : inverse_frequencies) {
      const double angle = position * frequency;
      table->cosines_[at] = static_cast<float>(std::cos(angle) * factor);
      table->sines_[at++] = static_cast<float>(std::sin(angle) * factor);
    }
  }
  return RopeTablePtr(std::move(table));
}

namespace {

Status bad_layer(size_t layer, const std::string& why) {
  return absl::InvalidArgumentError("KV layout, layer " + std::to_string(layer) + ": " + why);
}

Status check_layer(const KvLayout& layout, size_t index) {
  const KvLayer& layer = layout.layers[index];
  if (layer.shares >= 0) {
    if (static_cast<size_t>(layer.shares) >= layout.layers.size()) {
      return bad_layer(index, "shares the KV of a layer that does not exist");
    }
    const KvLayer& owner = layout.layers[static_cast<size_t>(layer.shares)];
    if (owner.shares >= 0) return bad_layer(index, "shares the KV of a layer that has none itself");
    const bool same = owner.group == layer.group && owner.heads == layer.heads &&
                      owner.key_width == layer.key_width && owner.value_width == layer.value_width;
    if (!same) return bad_layer(index, "shares the KV of a layer of another shape");
  }
  if (layer.group < 0 || static_cast<size_t>(layer.group) >= layout.group_blocks.size()) {
    return bad_layer(index, "its group has no entry in group_blocks");
  }
  if (layer.heads <= 0 || layer.key_width <= 0 || layer.value_width <= 0) {
    return bad_layer(index, "heads and widths must be positive");
  }
  return absl::OkStatus();
}

}  // namespace

Status check_kv_layout(const KvLayout& layout) {
  if (layout.dtype != DType::f32 && layout.dtype != DType::f16 && layout.dtype != DType::bf16 &&
      layout.dtype != DType::i8) {
    return absl::InvalidArgumentError("KV layout: the backends keep KV as f32, f16, bf16 or int8");
  }
  if (layout.block_tokens <= 0) {
    return absl::InvalidArgumentError("KV layout: block_tokens must be positive");
  }
  for (const int32_t blocks : layout.group_blocks) {
    if (blocks < 0) return absl::InvalidArgumentError("KV layout: negative group_blocks");
  }
  for (size_t i = 0; i < layout.layers.size(); ++i) RETURN_IF_ERROR(check_layer(layout, i));
  return absl::OkStatus();
}

namespace {

Status check_part(const WeightPart& part, int32_t cols) {
  const TensorTypeTraits& traits = traits_of(part.type);
  const auto refuse = [&](const std::string& why) {
    return absl::InvalidArgumentError("weight '" + part.name + "': " + why);
  };
  if (part.rows <= 0 || part.cols <= 0) return refuse("rows and columns must be positive");
  if (part.cols != cols) {
    return refuse("has " + std::to_string(part.cols) + " columns, the parts before it " +
                  std::to_string(cols));
  }
  if (part.cols % traits.block_values != 0) {
    return refuse(std::to_string(part.cols) + " columns are no multiple of the " +
                  std::to_string(traits.block_values) + " values of a " + std::string(traits.name) +
                  " block");
  }
  const size_t expected = row_bytes(part.type, part.cols) * static_cast<size_t>(part.rows);
  if (part.bytes.size() != expected) {
    return refuse("has " + std::to_string(part.bytes.size()) + " bytes, its shape needs " +
                  std::to_string(expected));
  }
  if (!part.bias.empty() && part.bias.size() != static_cast<size_t>(part.rows)) {
    return refuse("has " + std::to_string(part.bias.size()) + " biases for " +
                  std::to_string(part.rows) + " rows");
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<int32_t> check_parts(std::span<const WeightPart> parts) {
  if (parts.empty()) return absl::InvalidArgumentError("a weight needs at least one part");
  int64_t rows = 0;
  for (const WeightPart& part : parts) {
    RETURN_IF_ERROR(check_part(part, parts.front().cols));
    rows += part.rows;
  }
  if (rows > std::numeric_limits<int32_t>::max()) {
    return absl::InvalidArgumentError("weight '" + parts.front().name +
                                      "': " + std::to_string(rows) + " rows stacked are too many");
  }
  return static_cast<int32_t>(rows);
}

}  // namespace bessemer::host
