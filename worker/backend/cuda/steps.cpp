#include "worker/backend/cuda/steps.h"

#include <algorithm>
#include <cstring>

#include "worker/backend/cuda/recordings.h"
#include "worker/backend/host/memory.h"

namespace bessemer::cuda {
namespace {

// Arrays begin at cache lines.
constexpr size_t kAlignment = 64;

size_t room(size_t count) {
  return (count * sizeof(int32_t) + kAlignment - 1) / kAlignment * kAlignment;
}

// Rows of block tables are as long as a bucket, so that their addresses stay while contexts grow.
constexpr int32_t kLeastStride = 16;
size_t table_count(const StepInputs::Group& group, size_t sequences) {
  return group.table.empty()
             ? 0
             : sequences * static_cast<size_t>(length_bucket(group.table_stride, kLeastStride));
}

size_t bytes_of(const StepInputs& inputs) {
  size_t bytes = room(inputs.ids.size()) + room(inputs.positions.size()) +
                 room(inputs.query_start.size()) + room(inputs.out_rows.size());
  for (const StepInputs::Group& group : inputs.groups) {
    bytes += room(group.store_at.size()) + room(table_count(group, inputs.query_start.size() - 1)) +
             room(group.kv_len.size());
  }
  return bytes;
}

// Puts arrays one behind the other into the pinned buffer and gives their addresses on the device.
class Writer {
 public:
  Writer(std::byte* pinned, const std::byte* device) : pinned_(pinned), device_(device) {}
  DeviceInts put(const std::vector<int32_t>& values) {
    int32_t* to = nullptr;
    const DeviceInts handle = take(values.size(), to);
    if (!values.empty()) std::memcpy(to, values.data(), values.size() * sizeof(int32_t));
    return handle;
  }
  // Rows of `stride` become rows of the bucket, -1 behind them.
  DeviceInts put_table(const StepInputs::Group& group, size_t sequences, int32_t& stride) {
    int32_t* to = nullptr;
    const DeviceInts handle = take(table_count(group, sequences), to);
    const auto from = static_cast<size_t>(group.table_stride);
    stride = length_bucket(group.table_stride, kLeastStride);
    for (size_t s = 0; handle.count > 0 && s < sequences; ++s, to += stride) {
      std::fill_n(std::copy_n(group.table.data() + s * from, from, to),
                  static_cast<size_t>(stride) - from, -1);
    }
    return handle;
  }
  size_t used() const { return used_; }

 private:
  DeviceInts take(size_t count, int32_t*& to) {
    to = reinterpret_cast<int32_t*>(pinned_ + used_);
    const DeviceInts handle{reinterpret_cast<const int32_t*>(device_ + used_),
                            static_cast<int32_t>(count)};
    used_ += room(count);
    return handle;
  }
  std::byte* pinned_;
  const std::byte* device_;
  size_t used_ = 0;
};

void measure(const StepInputs& inputs, Batch& batch) {
  batch.rows = static_cast<int32_t>(inputs.ids.size());
  batch.sequences = static_cast<int32_t>(inputs.query_start.size()) - 1;
  batch.longest_query = batch.longest_kv = 0;
  for (size_t s = 0; s + 1 < inputs.query_start.size(); ++s) {
    batch.longest_query =
        std::max(batch.longest_query, inputs.query_start[s + 1] - inputs.query_start[s]);
  }
  for (const StepInputs::Group& group : inputs.groups) {
    for (const int32_t length : group.kv_len) batch.longest_kv = std::max(batch.longest_kv, length);
  }
}

}  // namespace

StatusOr<StepUploads::Slot> StepUploads::make_slot(size_t bytes) {
  ASSIGN_OR_RETURN(Memory pinned, Memory::make(Place::pinned, bytes, "step inputs"));
  ASSIGN_OR_RETURN(Memory device, Memory::make(Place::device, bytes, "step inputs"));
  ASSIGN_OR_RETURN(Event copied, Event::make());
  return Slot{std::move(pinned), std::move(device), std::move(copied)};
}

StatusOr<StepUploads> StepUploads::make() {
  ASSIGN_OR_RETURN(Slot first, make_slot(kFirstBytes));
  ASSIGN_OR_RETURN(Slot second, make_slot(kFirstBytes));
  return StepUploads({std::move(first), std::move(second)});
}

void StepUploads::remember_shape(int32_t slot, const Batch& batch) {
  shape_ = {slot,
            growths_,
            batch.rows,
            batch.sequences,
            batch.longest_query,
            kv_bucket(batch.longest_kv),
            batch.out_rows.count};
  for (const Batch::Group& group : batch.groups)
    shape_.insert(shape_.end(), {group.table.count, group.table_stride});
}

Status StepUploads::upload(const StepInputs& inputs, const Stream& stream, Batch& batch) {
  host::check_step(inputs);
  const size_t index = next_++ % kSlots;
  Slot& slot = slots_[index];
  const size_t bytes = bytes_of(inputs);
  if (bytes > slot.device.size_bytes()) {
    RETURN_IF_ERROR(stream.synchronize("making room for a larger step"));
    ++growths_;
    ASSIGN_OR_RETURN(slot, make_slot(std::max(bytes, 2 * slot.device.size_bytes())));
  }
  RETURN_IF_ERROR(cuda_status(cudaEventSynchronize(slot.copied.get()), "uploading a step"));
  Writer writer(slot.pinned.as(), slot.device.as());
  measure(inputs, batch);
  batch.ids = writer.put(inputs.ids);
  batch.positions = writer.put(inputs.positions);
  batch.query_start = writer.put(inputs.query_start);
  batch.out_rows = writer.put(inputs.out_rows);
  batch.groups.clear();
  for (const StepInputs::Group& group : inputs.groups) {
    Batch::Group& to = batch.groups.emplace_back();
    to.store_at = writer.put(group.store_at);
    to.table = writer.put_table(group, static_cast<size_t>(batch.sequences), to.table_stride);
    to.kv_len = writer.put(group.kv_len);
  }
  remember_shape(static_cast<int32_t>(index), batch);
  RETURN_IF_ERROR(cuda_status(cudaMemcpyAsync(slot.device.as(), slot.pinned.as(), writer.used(),
                                              cudaMemcpyHostToDevice, stream.get()),
                              "uploading a step"));
  return cuda_status(cudaEventRecord(slot.copied.get(), stream.get()), "uploading a step");
}

}  // namespace bessemer::cuda
