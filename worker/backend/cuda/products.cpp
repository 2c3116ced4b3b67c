// linear: few rows go to kernels that read the weight's bytes once, many to cuBLASLt.
#include <algorithm>

#include "worker/backend/cuda/cuda_backend.h"
#include "worker/backend/cuda/views.h"

namespace bessemer::cuda {
namespace {

Rows row_slice(Rows r, int32_t first, int32_t count) {
  return {r.data + static_cast<int64_t>(first) * r.stride, count, r.cols, r.stride};
}
Rows column_slice(Rows r, int32_t first, int32_t count) {
  return {r.data + first, r.rows, count, r.stride};
}

// Elements from row to row of bf16 operands: whole tiles, so that they can be written without asking where a row ends.
int32_t bf16_stride(int32_t cols) {
  return static_cast<int32_t>(ceil_div(cols, kTileInputs) * kTileInputs);
}

}  // namespace

CudaBackend::Way CudaBackend::way_of(const CudaWeight::Segment& segment, int32_t rows) {
  if (std::holds_alternative<Tiles>(segment.matrix))
    return rows <= kTileProductRows ? Way::tiles : Way::large;
  const auto& w = std::get<FloatWeight>(segment.matrix);
  if (rows == 1) return Way::floats;
  if (bf16_product_fits(w)) return rows <= kBf16ProductRows ? Way::bf16 : Way::large;
  return rows <= kFloatProductRows ? Way::floats : Way::large;
}

void CudaBackend::linear(Mat out, const Mat& x, const Weight& weight) {
  const CudaWeight& w = own(weight);
  CHECK(out.rows == x.rows && out.cols == w.out_features() && x.cols == w.in_features());
  if (skip() || x.rows == 0) return;
  const Rows from = rows_of(x);
  bool split = false;  // x is in the workspace as tensor cores take it, for all parts of the stack
  for (const CudaWeight::Segment& segment : w.segments()) {
    const Rows to = column_slice(rows_of(out), segment.first_row, segment.rows);
    Way way = way_of(segment, from.rows);
    if (way == Way::large) {
      if (large_product(to, from, segment)) continue;
      way = std::holds_alternative<Tiles>(segment.matrix) ? Way::tiles : Way::floats;
    }
    if ((way == Way::tiles || way == Way::bf16) && from.rows <= kTileProductRows && !split) {
      split_rows(workspace_.split(from.rows, from.cols), from, stream_->get());
      split = true;
    }
    small_product(to, from, segment, way);
  }
}

void CudaBackend::small_product(Rows out, const ConstRows& x, const CudaWeight::Segment& segment,
                                Way way) {
  const cudaStream_t stream = stream_->get();
  switch (way) {
    case Way::bf16:
      return bf16_product(out, workspace_.split(x.rows, x.cols),
                          std::get<FloatWeight>(segment.matrix), segment.bias, stream);
    case Way::tiles:
      return tiles_in_slices(out, x, segment);
    default:
      return float_product(out, x, std::get<FloatWeight>(segment.matrix), segment.bias, stream);
  }
}

// More rows than one pass takes only where cuBLASLt has no way.
void CudaBackend::tiles_in_slices(Rows out, const ConstRows& x,
                                  const CudaWeight::Segment& segment) {
  for (int32_t first = 0; first < x.rows; first += kTileProductRows) {
    const int32_t count = std::min(kTileProductRows, x.rows - first);
    const SplitRows rows = workspace_.split(count, x.cols);
    if (x.rows > kTileProductRows) {
      split_rows(rows, {x.data + static_cast<int64_t>(first) * x.stride, count, x.cols, x.stride},
                 stream_->get());
    }
    tile_product(row_slice(out, first, count), rows, std::get<Tiles>(segment.matrix), segment.bias,
                 stream_->get());
  }
}

// In slices of rows whose bf16 form fits the workspace. f32 weights are multiplied in f32, as they are.
bool CudaBackend::large_product(Rows out, const ConstRows& x, const CudaWeight::Segment& segment) {
  const auto* w = std::get_if<FloatWeight>(&segment.matrix);
  if (w && w->type == TensorType::f32) {
    if (!gemm_->multiply(out, {x.data, x.stride}, {w->data, w->stride}, x.cols, false,
                         stream_->get()))
      return false;
  } else {
    const int32_t stride = bf16_stride(x.cols);
    const auto most = static_cast<int32_t>(Workspace::kRowBytes /
                                           (static_cast<size_t>(stride) * sizeof(uint16_t)));
    for (int32_t first = 0; first < x.rows; first += most) {
      const int32_t count = std::min(most, x.rows - first);
      auto* rows = workspace_.rows.as<uint16_t>();
      rows_to_bf16(rows, stride,
                   {x.data + static_cast<int64_t>(first) * x.stride, count, x.cols, x.stride},
                   stream_->get());
      if (!slice_product(row_slice(out, first, count), {rows, stride}, segment, x.cols))
        return false;
    }
  }
  if (segment.bias) add_bias(out, segment.bias, stream_->get());
  return true;
}

// bf16 weights are multiplied where they lie; others are unpacked to bf16, as many outputs at a time as the workspace holds.
bool CudaBackend::slice_product(Rows out, GemmOperand x, const CudaWeight::Segment& segment,
                                int32_t inner) {
  const auto* floats = std::get_if<FloatWeight>(&segment.matrix);
  if (floats && floats->type == TensorType::bf16) {
    return gemm_->multiply(out, x, {floats->data, floats->stride}, inner, true, stream_->get());
  }
  auto* unpacked = workspace_.weight.as<uint16_t>();
  const size_t row_bytes = static_cast<size_t>(x.stride) * sizeof(uint16_t);
  const auto most =
      static_cast<int32_t>(Workspace::kWeightBytes / row_bytes) / kTileRows * kTileRows;
  for (int32_t first = 0; first < out.cols; first += most) {
    const int32_t count = std::min(most, out.cols - first);
    if (floats) {
      floats_to_bf16(unpacked, x.stride, *floats, first, count, stream_->get());
    } else {
      tiles_to_bf16(unpacked, x.stride, std::get<Tiles>(segment.matrix), first, count,
                    stream_->get());
    }
    if (!gemm_->multiply(column_slice(out, first, count), x, {unpacked, x.stride}, inner, true,
                         stream_->get()))
      return false;
  }
  return true;
}

}  // namespace bessemer::cuda
