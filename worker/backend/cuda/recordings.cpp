#include "worker/backend/cuda/recordings.h"

#include <tuple>

namespace bessemer::cuda {

bool Recordings::Key::operator<(const Key& other) const {
  const auto fields = [](const Key& k) {
    return std::tie(k.step.program, k.step.rows, k.step.sequences, k.step.longest_query,
                    k.step.flags, k.shape);
  };
  return fields(*this) < fields(other);
}

Recordings::Recording& Recordings::at(const Key& key) {
  if (recordings_.size() >= kMost && !recordings_.contains(key)) clear();
  return recordings_[key];
}

Status Recordings::record(Recording& to, const Stream& stream, const std::function<void()>& body) {
  RETURN_IF_ERROR(cuda_status(
      cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal), "recording a step"));
  body();
  cudaGraph_t graph = nullptr;
  RETURN_IF_ERROR(cuda_status(cudaStreamEndCapture(stream.get(), &graph), "recording a step"));
  const cudaError_t error = cudaGraphInstantiate(&to.graph, graph, 0);
  (void)cudaGraphDestroy(graph);
  return cuda_status(error, "recording a step");
}

void Recordings::clear() {
  for (auto& [key, recording] : recordings_) {
    if (recording.graph) (void)cudaGraphExecDestroy(recording.graph);
  }
  recordings_.clear();
}

int32_t length_bucket(int32_t length, int32_t least) {
  int64_t bucket = least;
  while (bucket * 2 <= length) bucket *= 2;
  const int64_t quarter = bucket / 4;
  while (bucket < length) bucket += quarter;
  return static_cast<int32_t>(bucket);
}

}  // namespace bessemer::cuda
