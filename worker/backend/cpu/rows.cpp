// Ops that take each row by itself.
#include <cstring>

#include "common/check.h"
#include "worker/backend/cpu/cpu_backend.h"
#include "worker/backend/cpu/rotation.h"
#include "worker/sampling/sampler.h"

namespace bessemer::cpu {
namespace {

kernels::Gate gate_of(Activation act) {
  switch (act) {
    case Activation::silu:
      return kernels::Gate::silu;
    case Activation::gelu:
      return kernels::Gate::gelu;
    case Activation::gelu_tanh:
      return kernels::Gate::gelu_tanh;
    case Activation::relu:
      break;
  }
  return kernels::Gate::relu;
}

}  // namespace

void CpuBackend::embed(Mat out, const Batch& batch, const Weight& table) {
  const PackedWeight& w = own(table);
  CHECK(out.rows == batch.rows && out.cols == w.in_features());
  for_rows(out.rows, out.cols,
           [&](int32_t row) { w.read_row(batch.ids.address[row], out.row<float>(row)); });
}

void CpuBackend::get_rows(Mat out, const Mat& x, DeviceInts at) {
  CHECK(out.rows == at.count && out.cols == x.cols);
  for_rows(out.rows, out.cols, [&](int32_t row) {
    const int32_t from = at.address[row];
    CHECK(from >= 0 && from < x.rows);
    std::memcpy(out.row<float>(row), x.row<float>(from),
                static_cast<size_t>(x.cols) * sizeof(float));
  });
}

void CpuBackend::rms_norm(Mat out, const Mat& x, const Weight& weight, float eps) {
  const PackedWeight& w = own(weight);
  CHECK(out.rows == x.rows && out.cols == x.cols);
  CHECK(w.vector() && w.in_features() == x.cols);
  for_rows(x.rows, x.cols, [&](int32_t row) {
    kernels_.rms_norm(out.row<float>(row), x.row<float>(row), w.vector(), x.cols, eps);
  });
}

void CpuBackend::add_rms_norm(Mat out, Mat residual, const Mat& x, const Weight& weight,
                              float eps) {
  const PackedWeight& w = own(weight);
  CHECK(out.rows == x.rows && out.cols == x.cols);
  CHECK(residual.rows == x.rows && residual.cols == x.cols);
  CHECK(w.vector() && w.in_features() == x.cols);
  for_rows(x.rows, 2 * x.cols, [&](int32_t row) {
    kernels_.add_rms_norm(out.row<float>(row), residual.row<float>(row), x.row<float>(row),
                          w.vector(), x.cols, eps);
  });
}

void CpuBackend::add(Mat inout, const Mat& x) {
  CHECK(inout.rows == x.rows && inout.cols == x.cols);
  for_rows(x.rows, x.cols,
           [&](int32_t row) { kernels_.add(inout.row<float>(row), x.row<float>(row), x.cols); });
}

void CpuBackend::gated_act(Mat out, const Mat& gate_up, Activation act) {
  CHECK(out.rows == gate_up.rows && gate_up.cols == 2 * out.cols);
  for_rows(out.rows, gate_up.cols, [&](int32_t row) {
    const float* gate = gate_up.row<float>(row);
    kernels_.gated(out.row<float>(row), gate, gate + out.cols, out.cols, gate_of(act));
  });
}

void CpuBackend::rope(Mat inout, const Batch& batch, const RopeTable& table, const RopeParams& p) {
  const Rotation rotation(table, p, batch);
  rotation.check(inout);
  for_rows(inout.rows, inout.cols, [&](int32_t row) { rotation.turn(kernels_, inout, row); });
}

void CpuBackend::all_gather_cols(Mat out, const Mat& x) {
  CHECK(out.rows == x.rows && out.cols == x.cols);
  if (out.data() == x.data()) return;
  for_rows(x.rows, x.cols, [&](int32_t row) {
    std::memcpy(out.row<float>(row), x.row<float>(row),
                static_cast<size_t>(x.cols) * sizeof(float));
  });
}

void CpuBackend::sample(std::span<SampleOutput> out, const Mat& logits,
                        std::span<const SampleInput> inputs) {
  CHECK(out.size() == inputs.size() && static_cast<size_t>(logits.rows) == inputs.size());
  pool_->run(logits.rows, [&](int32_t row, int32_t) {
    const auto i = static_cast<size_t>(row);
    out[i] = sample_row({logits.row<float>(row), static_cast<size_t>(logits.cols)}, inputs[i]);
  });
}

void CpuBackend::score(std::span<std::vector<Logprob>> out, const Mat& logits,
                       std::span<const int32_t> targets, int32_t top) {
  CHECK(out.size() == targets.size() && static_cast<size_t>(logits.rows) == targets.size());
  pool_->run(logits.rows, [&](int32_t row, int32_t) {
    const auto i = static_cast<size_t>(row);
    out[i] = score_row({logits.row<float>(row), static_cast<size_t>(logits.cols)}, targets[i], top);
  });
}

}  // namespace bessemer::cpu
