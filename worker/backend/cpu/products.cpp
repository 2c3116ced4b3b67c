// linear: quantises the activations where the weights are quantised, then cuts the product into
// tasks.
#include "common/check.h"
#include "worker/backend/cpu/cpu_backend.h"

namespace bessemer::cpu {
namespace {

using kernels::kTileRows;

// Rows [first, first + count).
Mat rows_of(Mat mat, int32_t first, int32_t count) {
  mat.offset_bytes +=
      sizeof(float) * static_cast<size_t>(first) * static_cast<size_t>(mat.row_stride);
  mat.rows = count;
  return mat;
}

// How the product with one segment is cut. A task is a run of tiles times a block of rows: the
// rows' activations stay in the second cache while the tiles pass over them.
struct Cut {
  static constexpr int32_t kRowsPerTask = kernels::kMatmulRows;
  // Eight tasks a thread even out what other processes take. Tiles come in fours: fewer are not
  // worth a claim, and few rows read four side by side (kernels/cpu/generic/quantised.h).
  static constexpr int32_t kTasksPerThread = 8, kTilesTogether = 4;

  Cut(int32_t tiles, int32_t rows, int32_t threads)
      : row_blocks(ceil_div(rows, kRowsPerTask)),
        tiles_per_task(
            kTilesTogether *
            ceil_div(tiles, kTilesTogether * std::max(kTasksPerThread * threads / row_blocks, 1))),
        runs(ceil_div(tiles, tiles_per_task)) {}

  int32_t tasks() const { return runs * row_blocks; }
  int32_t first_tile(int32_t task) const { return task % runs * tiles_per_task; }
  int32_t first_row(int32_t task) const { return task / runs * kRowsPerTask; }

  int32_t row_blocks, tiles_per_task, runs;
};

}  // namespace

void CpuBackend::linear(Mat out, const Mat& x, const Weight& weight) {
  const PackedWeight& w = own(weight);
  CHECK(out.rows == x.rows && out.cols == w.out_features() && x.cols == w.in_features());
  if (w.vector()) return dot_rows(out, x, w);
  for (int32_t first = 0; first < x.rows; first += kSliceRows) {
    const int32_t count = std::min(kSliceRows, x.rows - first);
    const Mat out_slice = rows_of(out, first, count), x_slice = rows_of(x, first, count);
    if (w.any_quantised()) quantize(x_slice);
    for (const Segment& segment : w.segments()) multiply(out_slice, x_slice, w, segment);
  }
}

void CpuBackend::quantize(const Mat& x) {
  CHECK(x.cols <= widest_ && x.rows <= kSliceRows);
  const size_t stride = activation_bytes(x.cols);
  for_rows(x.rows, x.cols, [&](int32_t row) {
    std::byte* to = activations_.get() + static_cast<size_t>(row) * stride;
    kernels_.quantize(x.row<float>(row), x.cols, to);
  });
}

void CpuBackend::multiply(const Mat& out, const Mat& x, const PackedWeight& w,
                          const Segment& segment) {
  const Cut cut(segment.tile_count(), x.rows, pool_->threads());
  const bool quantised = is_quantised(segment.format);
  const std::byte* rows = quantised ? activations_.get() : x.data();
  const size_t stride =
      quantised ? activation_bytes(x.cols) : sizeof(float) * static_cast<size_t>(x.row_stride);
  const auto kernel = kernels_.matmul[static_cast<size_t>(segment.format)];
  pool_->run(cut.tasks(), [&](int32_t task, int32_t thread) {
    const int32_t tile = cut.first_tile(task), row = cut.first_row(task), output = tile * kTileRows;
    kernel(
        {.tiles = segment.tiles + static_cast<size_t>(tile) * segment.tile_bytes,
         .tile_bytes = segment.tile_bytes,
         .outputs = std::min(cut.tiles_per_task * kTileRows, segment.rows - output),
         .depth = x.cols,
         .x = rows + static_cast<size_t>(row) * stride,
         .x_stride_bytes = stride,
         .rows = std::min(Cut::kRowsPerTask, x.rows - row),
         .out = out.row<float>(row) + segment.first_row + output,
         .out_stride = out.row_stride,
         .bias = w.bias() ? w.bias() + segment.first_row + output : nullptr,
         .scratch = product_scratch_.get() + static_cast<size_t>(thread) * product_scratch_bytes_});
  });
}

// A single output: one chain in order of the inputs, f32 times f32.
void CpuBackend::dot_rows(const Mat& out, const Mat& x, const PackedWeight& w) {
  for_rows(x.rows, x.cols, [&](int32_t row) {
    float sum = 0.0f;
    for (int32_t k = 0; k < x.cols; ++k) sum += x.row<float>(row)[k] * w.vector()[k];
    out.row<float>(row)[0] = w.bias() ? sum + *w.bias() : sum;
  });
}

}  // namespace bessemer::cpu
