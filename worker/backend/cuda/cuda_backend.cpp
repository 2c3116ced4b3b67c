// The backend's life and its steps; ops are in ops.cpp, products.cpp and output.cpp.
#include "worker/backend/cuda/cuda_backend.h"

#include <thread>

#include "worker/backend/cuda/views.h"

namespace bessemer::cuda {
namespace {

// Logits of a few rows, until reserve_workspace() says how many.
constexpr size_t kFirstLogitBytes = size_t{1} << 20;
// Rows of logits whose largest is found on the device, in one step: more than any scheduler asks for.
constexpr size_t kMostDrawn = 65536;

StatusOr<cudaDeviceProp> find_device() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    return absl::FailedPreconditionError(std::string("no CUDA device: ") +
                                         cudaGetErrorString(error));
  }
  if (count == 0)
    return absl::FailedPreconditionError("no CUDA device is visible; see CUDA_VISIBLE_DEVICES");
  cudaDeviceProp device = {};
  RETURN_IF_ERROR(
      cuda_status(cudaGetDeviceProperties(&device, 0), "asking for the device's properties"));
  if (device.major < 8) {
    return absl::FailedPreconditionError(std::string(device.name) + " has compute capability " +
                                         std::to_string(device.major) + "." +
                                         std::to_string(device.minor) + "; 8.0 or later is needed");
  }
  return device;
}

}  // namespace

StatusOr<Workspace> Workspace::make() {
  Workspace w;
  ASSIGN_OR_RETURN(w.rows, Memory::make(Place::device, kRowBytes, "rows of products"));
  ASSIGN_OR_RETURN(w.weight, Memory::make(Place::device, kWeightBytes, "unpacked weights"));
  ASSIGN_OR_RETURN(w.partials, Memory::make(Place::device, kPartialBytes, "partial attention"));
  ASSIGN_OR_RETURN(w.split_parts,
                   Memory::make(Place::device, split_parts_bytes(kTileProductRows, kMaxColumns),
                                "rows of products"));
  ASSIGN_OR_RETURN(w.split_sums,
                   Memory::make(Place::device, split_sums_bytes(kTileProductRows, kMaxColumns),
                                "rows of products"));
  return w;
}

StatusOr<std::unique_ptr<Backend>> CudaBackend::make() {
  ASSIGN_OR_RETURN(const cudaDeviceProp device, find_device());
  RETURN_IF_ERROR(cuda_status(cudaSetDevice(0), "choosing device 0"));
  ASSIGN_OR_RETURN(std::unique_ptr<Stream> stream, Stream::make());
  ASSIGN_OR_RETURN(std::unique_ptr<Gemm> gemm, Gemm::make());
  ASSIGN_OR_RETURN(Workspace workspace, Workspace::make());
  ASSIGN_OR_RETURN(StepUploads steps, StepUploads::make());
  ASSIGN_OR_RETURN(Memory logits, Memory::make(Place::pinned, kFirstLogitBytes, "logits"));
  ASSIGN_OR_RETURN(Memory ids,
                   Memory::make(Place::device, kMostDrawn * sizeof(int32_t), "drawn ids"));
  return std::unique_ptr<Backend>(
      new CudaBackend(std::move(stream), std::move(gemm), std::move(workspace), std::move(steps),
                      std::move(logits), std::move(ids), device.multiProcessorCount));
}

// Nothing may run in memory that is about to be freed.
CudaBackend::~CudaBackend() {
  (void)cudaStreamSynchronize(stream_->get());
}

StatusOr<std::unique_ptr<Buffer>> CudaBackend::allocate(size_t bytes) {
  return DeviceBuffer::make(bytes, *stream_);
}

StatusOr<WeightPtr> CudaBackend::pack(std::span<const WeightPart> parts) {
  return CudaWeight::pack(parts, *stream_);
}

StatusOr<KvPoolPtr> CudaBackend::make_kv(const KvLayout& layout) {
  return CudaKvPool::make(layout, *stream_);
}

StatusOr<RopeTablePtr> CudaBackend::make_rope_table(std::span<const double> inverse_frequencies,
                                                    int32_t max_positions, float attention_factor) {
  return CudaRopeTable::make(inverse_frequencies, max_positions, attention_factor, *stream_);
}

std::optional<uint64_t> CudaBackend::free_bytes() const {
  size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) return 0;
  return free;
}

Status CudaBackend::reserve_workspace(int32_t, int32_t logit_rows, int32_t vocab_size) {
  const size_t bytes =
      static_cast<size_t>(logit_rows) * static_cast<size_t>(vocab_size) * sizeof(float);
  if (bytes <= logits_.size_bytes()) return absl::OkStatus();
  ASSIGN_OR_RETURN(logits_, Memory::make(Place::pinned, bytes, "logits"));
  return absl::OkStatus();
}

void CudaBackend::note(const Status& status) {
  if (fault_.ok()) fault_ = status;
}

void CudaBackend::begin_step(const StepInputs& inputs, Batch& batch) {
  note(steps_.upload(inputs, *stream_, batch));
}

void CudaBackend::move_kv(KvPool& kv, std::span<const KvMove> moves) {
  for (const KvMove& move : moves) {
    if (!stopped()) own(kv).move(move, *stream_);
  }
}

StatusOr<Event> CudaBackend::take_event() {
  if (spare_events_.empty()) return Event::make();
  Event event = std::move(spare_events_.back());
  spare_events_.pop_back();
  return event;
}

// The first time eagerly, the second time recorded, from then on replayed.
void CudaBackend::issue(const StepKey& key, const std::function<void()>& body) {
  if (!(key.flags & StepKey::kReplayable) || stopped()) return body();
  Recordings::Recording& recording = recordings_.at({key, steps_.shape()});
  if (recording.graph) return replay(recording, body);
  if (!recording.seen) {
    recording.seen = true;
    return body();
  }
  const int64_t before = ops_;
  note(Recordings::record(recording, *stream_, body));
  recording.ops = ops_ - before;
  if (!stopped())
    note(
        cuda_status(cudaGraphLaunch(recording.graph, stream_->get()), "launching a recorded step"));
}

// The body runs for what it tells its caller; its ops launch nothing.
void CudaBackend::replay(const Recordings::Recording& recording,
                         const std::function<void()>& body) {
  const int64_t before = ops_;
  replaying_ = true;
  body();
  replaying_ = false;
  CHECK(ops_ - before == recording.ops);  // B4
  note(cuda_status(cudaGraphLaunch(recording.graph, stream_->get()), "launching a recorded step"));
}

// Enqueues only; wait() learns what became of it.
Ticket CudaBackend::run(StepKey key, const std::function<void()>& body) {
  const Ticket ticket{++last_ticket_};
  issue(key, body);
  note(cuda_status(cudaGetLastError(), "launching a step"));
  StatusOr<Event> done = take_event();
  if (!done.ok()) {
    note(done.status());
    return ticket;
  }
  note(cuda_status(cudaEventRecord(done->get(), stream_->get()), "launching a step"));
  launched_.push_back({ticket, *std::move(done)});
  return ticket;
}

// Polls, since sleeping in the driver costs tens of microseconds of every step.
Status CudaBackend::await(const Event& event, TimePoint deadline) const {
  for (;;) {
    const cudaError_t state = cudaEventQuery(event.get());
    if (state == cudaSuccess) return absl::OkStatus();
    if (state != cudaErrorNotReady) return cuda_status(state, "running a step");
    if (SteadyClock().now() >= deadline)
      return absl::DeadlineExceededError("the step is not done on the CUDA device");
    std::this_thread::yield();
  }
}

Status CudaBackend::wait(Ticket ticket, TimePoint deadline) {
  for (const Launched& step : launched_) {
    if (step.ticket != ticket) continue;
    const Status status = await(step.done, deadline);
    if (absl::IsDeadlineExceeded(status)) return status;
    note(status);
    break;
  }
  finish(ticket);
  if (aborted_) return absl::AbortedError("the cuda backend was told to abort");
  return fault_;
}

// The steps up to `ticket` are done: their logits are on the host.
void CudaBackend::finish(Ticket ticket) {
  while (!launched_.empty() && launched_.front().ticket <= ticket) {
    spare_events_.push_back(std::move(launched_.front().done));
    launched_.pop_front();
  }
  std::vector<HostJob> later;
  for (HostJob& job : jobs_) {
    if (job.ticket > ticket) {
      later.push_back(std::move(job));
    } else if (!stopped()) {
      job.run();
    }
  }
  jobs_ = std::move(later);
  if (jobs_.empty()) logits_used_ = ids_used_ = 0;
}

}  // namespace bessemer::cuda
