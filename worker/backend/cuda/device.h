// Memory of the device and of the host beside it, owned; errors of CUDA as Status.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include <cuda_runtime_api.h>

#include "common/status.h"
#include "worker/backend/mat.h"

namespace bessemer::cuda {

// OK for cudaSuccess. ResourceExhausted: out of memory; else Internal. `doing` names the attempt.
Status cuda_status(cudaError_t error, const std::string& doing);

// Move-only. kPinned: host memory that the device copies from and to without a detour.
enum class Place { device, pinned };
class Memory {
 public:
  Memory() = default;
  // Uninitialised, aligned to 256; 0 bytes are fine. ResourceExhausted names size and purpose.
  static StatusOr<Memory> make(Place place, size_t bytes, const std::string& purpose);
  ~Memory();
  Memory(Memory&& other) noexcept { swap(other); }
  Memory& operator=(Memory&& other) noexcept {
    swap(other);
    return *this;
  }

  template <typename T = std::byte>
  T* as() const {
    return static_cast<T*>(address_);
  }
  size_t size_bytes() const { return size_bytes_; }

 private:
  void swap(Memory& other) noexcept {
    std::swap(place_, other.place_);
    std::swap(address_, other.address_);
    std::swap(size_bytes_, other.size_bytes_);
  }
  Place place_ = Place::device;
  void* address_ = nullptr;
  size_t size_bytes_ = 0;
};

// The stream that everything of one backend runs on, in order.
class Stream {
 public:
  static StatusOr<std::unique_ptr<Stream>> make();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  cudaStream_t get() const { return stream_; }
  // Blocks until the copy is done, behind all that was enqueued before.
  Status copy(void* to, const void* from, size_t bytes, const std::string& doing) const;
  Status synchronize(const std::string& doing) const;

 private:
  explicit Stream(cudaStream_t stream) : stream_(stream) {}
  cudaStream_t stream_;
};

// An event, recorded and waited for again and again.
class Event {
 public:
  static StatusOr<Event> make();
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&& other) noexcept {
    std::swap(event_, other.event_);
    return *this;
  }
  ~Event();
  cudaEvent_t get() const { return event_; }

 private:
  explicit Event(cudaEvent_t event) : event_(event) {}
  cudaEvent_t event_ = nullptr;
};

class DeviceBuffer final : public Buffer {
 public:
  // Zeroed. `stream` must outlive it.
  static StatusOr<std::unique_ptr<Buffer>> make(size_t bytes, const Stream& stream);

  size_t size_bytes() const override { return size_bytes_; }
  std::byte* address() override { return memory_.as(); }
  void read(size_t offset, std::span<std::byte> to) override;
  void write(size_t offset, std::span<const std::byte> from) override;

 private:
  DeviceBuffer(Memory memory, size_t size_bytes, const Stream& stream)
      : memory_(std::move(memory)), size_bytes_(size_bytes), stream_(stream) {}
  Memory memory_;
  size_t size_bytes_;
  const Stream& stream_;
};

}  // namespace bessemer::cuda
