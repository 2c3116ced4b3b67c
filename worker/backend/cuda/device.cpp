#include "worker/backend/cuda/device.h"

#include <algorithm>
#include <cstdio>

#include "common/check.h"

namespace bessemer::cuda {

Status cuda_status(cudaError_t error, const std::string& doing) {
  if (error == cudaSuccess) return absl::OkStatus();
  const std::string text = "CUDA, " + doing + ": " + cudaGetErrorString(error);
  if (error == cudaErrorMemoryAllocation) return absl::ResourceExhaustedError(text);
  return absl::InternalError(text);
}

StatusOr<Memory> Memory::make(Place place, size_t bytes, const std::string& purpose) {
  Memory memory;
  memory.place_ = place;
  memory.size_bytes_ = bytes;
  const size_t taken = std::max<size_t>(bytes, 1);
  const cudaError_t error = place == Place::device ? cudaMalloc(&memory.address_, taken)
                                                   : cudaMallocHost(&memory.address_, taken);
  if (error != cudaSuccess) memory.address_ = nullptr;
  RETURN_IF_ERROR(
      cuda_status(error, "allocating " + std::to_string(bytes) + " bytes for " + purpose));
  return memory;
}

Memory::~Memory() {
  if (!address_) return;
  // At the end of a process the driver may be gone before we are: nothing is left to be freed.
  if (place_ == Place::device) {
    (void)cudaFree(address_);
  } else {
    (void)cudaFreeHost(address_);
  }
}

StatusOr<std::unique_ptr<Stream>> Stream::make() {
  cudaStream_t stream = nullptr;
  RETURN_IF_ERROR(
      cuda_status(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream"));
  return std::unique_ptr<Stream>(new Stream(stream));
}

Stream::~Stream() {
  (void)cudaStreamSynchronize(stream_);
  (void)cudaStreamDestroy(stream_);
}

Status Stream::copy(void* to, const void* from, size_t bytes, const std::string& doing) const {
  if (bytes == 0) return absl::OkStatus();
  RETURN_IF_ERROR(cuda_status(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_), doing));
  return synchronize(doing);
}

Status Stream::synchronize(const std::string& doing) const {
  return cuda_status(cudaStreamSynchronize(stream_), doing);
}

StatusOr<Event> Event::make() {
  cudaEvent_t event = nullptr;
  RETURN_IF_ERROR(
      cuda_status(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event"));
  return Event(event);
}

Event::~Event() {
  if (event_) (void)cudaEventDestroy(event_);
}

StatusOr<std::unique_ptr<Buffer>> DeviceBuffer::make(size_t bytes, const Stream& stream) {
  ASSIGN_OR_RETURN(Memory memory, Memory::make(Place::device, bytes, "activations"));
  RETURN_IF_ERROR(
      cuda_status(cudaMemsetAsync(memory.as(), 0, bytes, stream.get()), "zeroing a buffer"));
  RETURN_IF_ERROR(stream.synchronize("zeroing a buffer"));
  return std::unique_ptr<Buffer>(new DeviceBuffer(std::move(memory), bytes, stream));
}

namespace {

// These copies belong to start-up, tools and tests: a device that fails at one is of no use to them.
void must(const Status& status) {
  if (!status.ok()) check_failed(std::string(status.message()).c_str(), __FILE__, __LINE__);
}

}  // namespace

void DeviceBuffer::read(size_t offset, std::span<std::byte> to) {
  CHECK(offset <= size_bytes_ && to.size() <= size_bytes_ - offset);
  must(stream_.copy(to.data(), memory_.as() + offset, to.size(), "reading a buffer"));
}

void DeviceBuffer::write(size_t offset, std::span<const std::byte> from) {
  CHECK(offset <= size_bytes_ && from.size() <= size_bytes_ - offset);
  must(stream_.copy(memory_.as() + offset, from.data(), from.size(), "writing a buffer"));
}

}  // namespace bessemer::cuda
