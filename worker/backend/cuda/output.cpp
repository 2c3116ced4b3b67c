// sample and score: the largest logit is found on the device; for everything else logits go to the host, and worker/sampling
// draws there once they have arrived (wait()).
#include "kernels/cuda/output.h"

#include <algorithm>

#include "worker/backend/cuda/cuda_backend.h"
#include "worker/backend/cuda/views.h"
#include "worker/sampling/sampler.h"

namespace bessemer::cuda {

const float* CudaBackend::fetch(const Mat& logits) {
  const Rows from = rows_of(logits);
  const size_t count = static_cast<size_t>(from.rows) * static_cast<size_t>(from.cols);
  // The caller's logit rows were announced to reserve_workspace().
  CHECK((logits_used_ + count) * sizeof(float) <= logits_.size_bytes());
  float* to = logits_.as<float>() + logits_used_;
  logits_used_ += count;
  if (count == 0) return to;
  const size_t row = static_cast<size_t>(from.cols) * sizeof(float);
  note(cuda_status(
      cudaMemcpy2DAsync(to, row, from.data, static_cast<size_t>(from.stride) * sizeof(float), row,
                        static_cast<size_t>(from.rows), cudaMemcpyDeviceToHost, stream_->get()),
      "fetching logits"));
  return to;
}

// Where every row's largest logit is drawn, the device finds it and only ids cross the bus.
void CudaBackend::sample(std::span<SampleOutput> out, const Mat& logits,
                         std::span<const SampleInput> inputs) {
  CHECK(out.size() == inputs.size() && static_cast<size_t>(logits.rows) == inputs.size());
  if (skip() || inputs.empty()) return;
  if (std::ranges::all_of(inputs, draws_the_largest)) return sample_largest(out, logits);
  const float* rows = fetch(logits);
  const auto width = static_cast<size_t>(logits.cols);
  jobs_.push_back({Ticket{last_ticket_}, [=] {
                     for (size_t i = 0; i < inputs.size(); ++i)
                       out[i] = sample_row({rows + i * width, width}, inputs[i]);
                   }});
}

void CudaBackend::sample_largest(std::span<SampleOutput> out, const Mat& logits) {
  static_assert(sizeof(int32_t) == sizeof(float));  // ids lie beside logits on their way
  CHECK((ids_used_ + out.size()) * sizeof(int32_t) <= ids_.size_bytes());
  CHECK((logits_used_ + out.size()) * sizeof(float) <= logits_.size_bytes());
  int32_t* found = ids_.as<int32_t>() + ids_used_;
  auto* ids = logits_.as<int32_t>() + logits_used_;
  ids_used_ += out.size();
  logits_used_ += out.size();
  largest_columns(found, rows_of(logits), stream_->get());
  note(cuda_status(cudaMemcpyAsync(ids, found, out.size() * sizeof(int32_t), cudaMemcpyDeviceToHost,
                                   stream_->get()),
                   "fetching ids"));
  jobs_.push_back({Ticket{last_ticket_}, [=] {
                     for (size_t i = 0; i < out.size(); ++i) {
                       out[i] = {};
                       out[i].token = ids[i];
                       if (ids[i] < 0) out[i].fault = Fault::numeric;
                     }
                   }});
}

void CudaBackend::score(std::span<std::vector<Logprob>> out, const Mat& logits,
                        std::span<const int32_t> targets, int32_t top) {
  CHECK(out.size() == targets.size() && static_cast<size_t>(logits.rows) == targets.size());
  if (skip()) return;
  const float* rows = fetch(logits);
  const auto width = static_cast<size_t>(logits.cols);
  jobs_.push_back({Ticket{last_ticket_}, [=] {
                     for (size_t i = 0; i < targets.size(); ++i) {
                       out[i] = score_row({rows + i * width, width}, targets[i], top);
                     }
                   }});
}

}  // namespace bessemer::cuda
