// Uploads of step inputs: everything of a step goes through one pinned buffer and one asynchronous copy, into the slot of a
// ring, so that a Batch stays readable until the second begin_step() after its own.
#pragma once
#include <array>
#include <vector>

#include "worker/backend/batch.h"
#include "worker/backend/cuda/device.h"

namespace bessemer::cuda {

class StepUploads {
 public:
  static StatusOr<StepUploads> make();
  // Enqueues the copy and fills `batch`. A step with more integers than any before makes its slot larger, which waits for
  // the stream; otherwise nothing blocks unless the slot's copy of two steps ago is still under way.
  Status upload(const StepInputs& inputs, const Stream& stream, Batch& batch);
  // Where the latest step's arrays lie and how long they are; equal shapes, equal addresses, until a slot grows.
  const std::vector<int32_t>& shape() const { return shape_; }

 private:
  static constexpr size_t kSlots = 2;
  // 1 MiB: 64 sequences of 64k positions in blocks of 16.
  static constexpr size_t kFirstBytes = size_t{1} << 20;
  struct Slot {
    Memory pinned, device;
    Event copied;
  };
  explicit StepUploads(std::array<Slot, kSlots> slots) : slots_(std::move(slots)) {}
  static StatusOr<Slot> make_slot(size_t bytes);
  void remember_shape(int32_t slot, const Batch& batch);

  std::array<Slot, kSlots> slots_;
  size_t next_ = 0;
  int32_t growths_ = 0;
  std::vector<int32_t> shape_;
};

}  // namespace bessemer::cuda
