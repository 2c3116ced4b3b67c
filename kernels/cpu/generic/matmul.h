// Products with tiles of 16 weight rows, the same for every instruction set; include after its
// vec.h and dots.h.
//
// Arithmetic of one output, whatever the number of rows at hand (E5):
//   quantised  for each block of 32 inputs in order, acc = 0 at first:
//                acc = fma((float)dot, d * da, acc)   dot: the exact product of the quants less
//                                                     their offset; d, da: the scales
//                acc = fma(m, da * sum, acc)          formats with a minimum m; sum: of the
//                                                     activations' quants
//              Formats with a scale for each 16 inputs do this for the first, then the last half.
//              Then for each outlier of the row in order: acc = fma(w, x, acc), w: the weight in
//              f32
//   floats     for each input in order, acc = 0 at first: acc = fma(w, x, acc)
//   both       out = acc, or acc + bias
#pragma once
#include "kernels/cpu/generic/finish.h"
#include "kernels/cpu/generic/quantised.h"
#include "kernels/cpu/kernels.h"

namespace bessemer::kernels {
namespace {

// T tiles side by side: few rows alone would wait for the latency of fma.
template <typename Traits, int R, int T>
void float_rows(const MatmulArgs& args, int32_t row, int32_t output) {
  using Value = typename Traits::Value;
  const std::byte* tile = args.tiles + static_cast<size_t>(output / kTileRows) * args.tile_bytes;
  const Value* w[T];
  for (int t = 0; t < T; ++t) {
    w[t] = reinterpret_cast<const Value*>(tile + static_cast<size_t>(t) * args.tile_bytes);
  }
  const float* x[R];
  F acc[R][T];
  for (int r = 0; r < R; ++r) {
    x[r] =
        reinterpret_cast<const float*>(args.x + static_cast<size_t>(row + r) * args.x_stride_bytes);
    for (int t = 0; t < T; ++t) acc[r][t] = zero();
  }
  for (int32_t k = 0; k < args.depth; ++k) {
    for (int t = 0; t < T; ++t) {
      const F column = load(w[t] + static_cast<ptrdiff_t>(k) * kTileRows);
      for (int r = 0; r < R; ++r) acc[r][t] = fma(column, set(x[r][k]), acc[r][t]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int t = 0; t < T; ++t) finish(args, row + r, output + t * kTileRows, acc[r][t]);
  }
}

// Rows from `row` on, R at a time as long as there are R, the rest half as many.
template <typename Traits, int R>
void float_rows_from(const MatmulArgs& args, int32_t row) {
  constexpr int T = kChains < R ? 1 : kChains / R;
  const int32_t end = row + (args.rows - row) / R * R;
  int32_t output = 0;
  for (; output + T * kTileRows <= args.outputs; output += T * kTileRows) {
    for (int32_t r = row; r < end; r += R) float_rows<Traits, R, T>(args, r, output);
  }
  for (; output < args.outputs; output += kTileRows) {
    for (int32_t r = row; r < end; r += R) float_rows<Traits, R, 1>(args, r, output);
  }
  if constexpr (R > 1) {
    if (end < args.rows) float_rows_from<Traits, R / 2>(args, end);
  }
}

template <TileFormat kFormat>
void matmul(const MatmulArgs& args) {
  using Traits = TileTraits<kFormat>;
  if constexpr (Traits::kQuantised) {
    quantised_matmul<Traits, 1>(args);
  } else {
    float_rows_from<Traits, kRowsAtOnce>(args, 0);
  }
}

}  // namespace
}  // namespace bessemer::kernels
