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
#include "kernels/cpu/generic/activations.h"
#include "kernels/cpu/generic/math.h"
#include "kernels/cpu/kernels.h"

namespace bessemer::kernels {
namespace {

template <int R>
struct Activations {
  const int8_t* q[R];
  const ActivationBlock* blocks[R];
  const Outlier* outliers[R];

  Activations(const MatmulArgs& args, int32_t first_row) {
    for (int r = 0; r < R; ++r) {
      const std::byte* row = args.x + static_cast<size_t>(first_row + r) * args.x_stride_bytes;
      q[r] = quants_of(row);
      blocks[r] = blocks_of(row, args.depth);
      outliers[r] = outliers_of(row, args.depth);
    }
  }
  void advance() {
    for (int r = 0; r < R; ++r) {
      q[r] += kBlock;
      ++blocks[r];
    }
  }
};

// One block of a format with one scale per block.
template <typename Traits, int R>
inline void whole_block(const uint8_t* quants, const typename Traits::Scale* scales,
                        const Activations<R>& x, F (&acc)[R]) {
  I dots[R];
  if constexpr (Traits::kBits == 4) {
    dots_u4<R>(quants, x.q, dots);
  } else {
    dots_i8<R>(quants, x.q, x.blocks, dots);
  }
  const F d = load(scales);
  for (int r = 0; r < R; ++r) {
    if constexpr (Traits::kOffset != 0) {
      dots[r] = add(dots[r], set_int(-Traits::kOffset * x.blocks[r]->sum));
    }
    acc[r] = fma(to_float(dots[r]), mul(d, set(x.blocks[r]->scale)), acc[r]);
    if constexpr (Traits::kMin) {
      acc[r] = fma(load(scales + kTileRows), set(x.blocks[r]->scaled_sum), acc[r]);
    }
  }
}

// One half of a block: `sum` of the activations in it.
template <typename Traits>
inline F half_block(I dot, const typename Traits::Scale* scales, float scale, int32_t sum, F acc) {
  acc = fma(to_float(dot), mul(load(scales), set(scale)), acc);
  if constexpr (Traits::kMin) {
    acc = fma(load(scales + kTileRows), set(scale * static_cast<float>(sum)), acc);
  }
  return acc;
}

// One block of a format with a scale for each half.
template <typename Traits, int R>
inline void halved_block(const uint8_t* quants, const typename Traits::Scale* scales,
                         const Activations<R>& x, F (&acc)[R]) {
  I first[R], second[R];
  dots_i8_halves<R>(quants, x.q, x.blocks, first, second);
  for (int r = 0; r < R; ++r) {
    const ActivationBlock& block = *x.blocks[r];
    acc[r] = half_block<Traits>(first[r], scales, block.scale, block.first_sum, acc[r]);
    acc[r] = half_block<Traits>(second[r], scales + Traits::kScales / 2, block.scale,
                                block.sum - block.first_sum, acc[r]);
  }
}

// What 16 rows have at one input.
template <typename Traits>
inline F weight_column(const uint8_t* quants, const typename Traits::Scale* scales, int32_t input) {
  const int32_t block = input / kBlock, k = input % kBlock;
  quants += static_cast<ptrdiff_t>(block) * Traits::kQuantBytes;
  scales += static_cast<ptrdiff_t>(block) * Traits::kScales;
  if constexpr (Traits::kGroups == 2) scales += k / (kBlock / 2) * (Traits::kScales / 2);
  I column = Traits::kBits == 4 ? column_u4(quants, k) : column_i8(quants, k);
  if constexpr (Traits::kOffset != 0) column = add(column, set_int(-Traits::kOffset));
  if constexpr (Traits::kMin) {
    return fma(load(scales), to_float(column), load(scales + kTileRows));
  }
  return mul(load(scales), to_float(column));
}

template <typename Traits, int R>
inline void add_outliers(const uint8_t* quants, const typename Traits::Scale* scales,
                         const Activations<R>& x, F (&acc)[R]) {
  for (int r = 0; r < R; ++r) {
    for (const Outlier* outlier = x.outliers[r]; outlier->input != kNoInput; ++outlier) {
      const F column = weight_column<Traits>(quants, scales, outlier->input);
      acc[r] = fma(column, set(outlier->value), acc[r]);
    }
  }
}

inline void finish(const MatmulArgs& args, int32_t row, int32_t first_output, F acc) {
  const int32_t lanes = args.outputs - first_output;
  float* out = args.out + row * args.out_stride + first_output;
  store_lanes(out, args.bias ? add(acc, load_lanes(args.bias + first_output, lanes)) : acc, lanes);
}

template <typename Traits, int R>
void quantised_rows(const MatmulArgs& args, const std::byte* tile, int32_t row, int32_t output) {
  const auto* const first_quants = reinterpret_cast<const uint8_t*>(tile);
  const int32_t count = args.depth / kBlock;
  const auto* const first_scales = reinterpret_cast<const typename Traits::Scale*>(
      first_quants + static_cast<ptrdiff_t>(count) * Traits::kQuantBytes);
  const auto* quants = first_quants;
  const auto* scales = first_scales;
  Activations<R> x(args, row);
  F acc[R];
  for (int r = 0; r < R; ++r) acc[r] = zero();
  for (int32_t b = 0; b < count; ++b) {
    if constexpr (Traits::kGroups == 1) {
      whole_block<Traits, R>(quants, scales, x, acc);
    } else {
      halved_block<Traits, R>(quants, scales, x, acc);
    }
    quants += Traits::kQuantBytes;
    scales += Traits::kScales;
    x.advance();
  }
  add_outliers<Traits, R>(first_quants, first_scales, x, acc);
  for (int r = 0; r < R; ++r) finish(args, row + r, output, acc[r]);
}

// T tiles side by side: few rows alone would wait for the latency of fma.
template <typename Traits, int R, int T>
void float_rows(const MatmulArgs& args, const std::byte* tile, int32_t row, int32_t output) {
  using Value = typename Traits::Value;
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

// Rows [row, end), R at a time, times T tiles.
template <typename Traits, int R, int T>
void rows_of_tiles(const MatmulArgs& args, int32_t row, int32_t end, int32_t output) {
  const std::byte* tile = args.tiles + static_cast<size_t>(output / kTileRows) * args.tile_bytes;
  for (; row < end; row += R) {
    if constexpr (Traits::kQuantised) {
      quantised_rows<Traits, R>(args, tile, row, output);
    } else {
      float_rows<Traits, R, T>(args, tile, row, output);
    }
  }
}

// Rows from `row` on, R at a time as long as there are R, the rest half as many.
template <typename Traits, int R>
void rows_from(const MatmulArgs& args, int32_t row) {
  constexpr int T = Traits::kQuantised || kChains < R ? 1 : kChains / R;
  const int32_t end = row + (args.rows - row) / R * R;
  int32_t output = 0;
  for (; end > row && output + T * kTileRows <= args.outputs; output += T * kTileRows) {
    rows_of_tiles<Traits, R, T>(args, row, end, output);
  }
  for (; end > row && output < args.outputs; output += kTileRows) {
    rows_of_tiles<Traits, R, 1>(args, row, end, output);
  }
  if constexpr (R > 1) {
    if (end < args.rows) rows_from<Traits, R / 2>(args, end);
  }
}

template <TileFormat kFormat>
void matmul(const MatmulArgs& args) {
  rows_from<TileTraits<kFormat>, kRowsAtOnce>(args, 0);
}

}  // namespace
}  // namespace bessemer::kernels
