// Products with quantised tiles, the same for every instruction set; their arithmetic is said in
// matmul.h. Include after vec.h and dots.h.
#pragma once
#include "kernels/cpu/generic/activations.h"
#include "kernels/cpu/generic/finish.h"
#include "kernels/cpu/generic/unpack.h"
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
  void advance(int32_t count) {
    for (int r = 0; r < R; ++r) {
      q[r] += static_cast<ptrdiff_t>(count) * kBlock;
      blocks[r] += count;
    }
  }
};

template <typename Traits, int kGroup, typename Q, typename Scales, int R>
[[gnu::always_inline]] inline void add_group(const Q& quants, const Scales& scales,
                                             const Activations<R>& x, F (&acc)[R]) {
  constexpr float kOffset = Traits::kOffset + (Traits::kBits == 8 ? kByteBias : 0);
  I sums[R];
  dots<Traits::kGroups, kGroup>(quants, x.q, sums);
  const F d = scales.scale(kGroup);
  F m = zero();
  if constexpr (Traits::kMin) m = scales.min(kGroup);
  for (int r = 0; r < R; ++r) {
    const ActivationBlock& block = *x.blocks[r];
    const float sum = Traits::kGroups == 1 ? block.sum
                      : kGroup == 0        ? block.first_sum
                                           : block.sum - block.first_sum;
    F product = to_float(sums[r]);
    // Exact, as all of these are integers below 2^24.
    if constexpr (kOffset != 0) product = fma(set(-kOffset), set(sum), product);
    acc[r] = fma(product, mul(d, set(block.scale)), acc[r]);
    if constexpr (Traits::kMin) {
      acc[r] = fma(m, set(Traits::kGroups == 1 ? block.scaled_sum : block.scale * sum), acc[r]);
    }
  }
}

template <typename Traits, typename Q, typename Scales, int R>
[[gnu::always_inline]] inline void add_block(const Q& quants, const Scales& scales,
                                             const Activations<R>& x, F (&acc)[R]) {
  add_group<Traits, 0>(quants, scales, x, acc);
  if constexpr (Traits::kGroups == 2) add_group<Traits, 1>(quants, scales, x, acc);
}

template <typename Traits, int R>
inline void add_outliers(const uint8_t* tile, const Activations<R>& x, F (&acc)[R]) {
  for (int r = 0; r < R; ++r) {
    for (const Outlier* outlier = x.outliers[r]; outlier->input != kNoInput; ++outlier) {
      acc[r] = fma(weight_column<Traits>(tile, static_cast<uint32_t>(outlier->input)),
                   set(outlier->value), acc[r]);
    }
  }
}

// How far ahead of their use weights are asked for: farther than memory takes to answer, and near
// enough to be still in the first cache.
constexpr int kAheadBytes = 1024;

template <int kBytes>
inline void ask_ahead(const uint8_t* at) {
#pragma clang loop unroll(full)
  for (int i = 0; i < kBytes; i += 64) __builtin_prefetch(at + kAheadBytes + i);
}

inline const uint8_t* tile_of(const MatmulArgs& args, int32_t tile) {
  return reinterpret_cast<const uint8_t*>(args.tiles) + static_cast<size_t>(tile) * args.tile_bytes;
}

// R rows times S tiles, `stride` tiles apart, straight from the packed weights.
template <typename Traits, int R, int S>
void stream_tiles(const MatmulArgs& args, int32_t row, int32_t tile, int32_t stride) {
  const uint8_t* unit[S];
  UnitScales<Traits> scales[S];
  F acc[S][R];
  Activations<R> x(args, row);
  for (int s = 0; s < S; ++s) {
    unit[s] = tile_of(args, tile + s * stride);
    for (int r = 0; r < R; ++r) acc[s][r] = zero();
  }
  for (int32_t left = args.depth / kBlock; left > 0; left -= Traits::kUnit) {
    for (int s = 0; s < S; ++s) {
      ask_ahead<Traits::kScaleBytes>(unit[s]);
      scales[s].open(unit[s]);
    }
    const int count = left < Traits::kUnit ? left : Traits::kUnit;
    for (int b = 0; b < count; ++b, x.advance(1)) {
#pragma clang loop unroll(full)
      for (int s = 0; s < S; ++s) {
        const uint8_t* quants = unit[s] + Traits::kScaleBytes + b * Traits::kQuantBytes;
        ask_ahead<Traits::kQuantBytes>(quants);
        add_block<Traits>(PackedQuants<Traits::kBits>{quants}, scales[s].of_block(b), x, acc[s]);
      }
    }
    for (int s = 0; s < S; ++s) unit[s] += Traits::kUnitBytes;
  }
  for (int s = 0; s < S; ++s) {
    add_outliers<Traits>(tile_of(args, tile + s * stride), x, acc[s]);
    for (int r = 0; r < R; ++r) finish(args, row + r, (tile + s * stride) * kTileRows, acc[s][r]);
  }
}

// R rows, all there are: bound by memory, which several streams side by side use better than one
// (each ends its page at another time, and its prefetcher with it).
template <typename Traits, int R>
void few_rows(const MatmulArgs& args) {
  constexpr int S = R < kStreams ? kStreams / R : 1;
  const int32_t tiles = (args.outputs + kTileRows - 1) / kTileRows, stride = tiles / S;
  for (int32_t t = 0; t < stride; ++t) stream_tiles<Traits, R, S>(args, 0, t, stride);
  for (int32_t t = S * stride; t < tiles; ++t) stream_tiles<Traits, R, 1>(args, 0, t, 0);
}

// A run of a tile's blocks, unpacked: what many rows need is unpacked once and stays in the first
// cache while they pass.
template <typename Traits>
struct Panel {
  static constexpr int32_t kBlocks = 8;  // whole units; with kMatmulRows' activations some 30 KiB
  static constexpr bool kInPlace = Traits::kBits == 8;  // quants that are bytes already
  const uint8_t* units;                                 // those that are unpacked here
  alignas(64) uint8_t quants[kInPlace ? 1 : kBlocks * kPlainBytes];
  alignas(64) float scales[kBlocks * Traits::kBlockScales];
  alignas(64) float acc[kMatmulRows * kTileRows];

  void unpack(const uint8_t* first, int32_t count) {
    units = first;
    for (int32_t b = 0; b < count; ++b) {
      const uint8_t* unit = units + unit_at<Traits>(b);
      if (b % Traits::kUnit == 0) {
        ask_ahead<Traits::kScaleBytes>(unit);
        unpack_scales<Traits>(unit, scales + b * Traits::kBlockScales);
      }
      const uint8_t* packed = units + quants_at<Traits>(b);
      ask_ahead<Traits::kQuantBytes>(packed);
      if constexpr (!kInPlace) unpack_quants<Traits::kBits>(packed, quants + b * kPlainBytes);
    }
  }
  PlainQuants<Traits::kBits> plain(int32_t b) const {
    return {kInPlace ? units + quants_at<Traits>(b) : quants + b * kPlainBytes};
  }

  // Adds `count` blocks, the first of which is `block` of the tile, to the sums of R rows.
  template <int R>
  void add(const MatmulArgs& args, int32_t row, int32_t block, int32_t count) {
    Activations<R> x(args, row);
    x.advance(block);
    float* const sums = acc + row * kTileRows;
    F sum[R];
    for (int r = 0; r < R; ++r) sum[r] = load(sums + r * kTileRows);
    for (int32_t b = 0; b < count; ++b, x.advance(1)) {
      const ReadyScales<Traits, float> ready{scales + b * Traits::kBlockScales};
      add_block<Traits>(plain(b), ready, x, sum);
    }
    for (int r = 0; r < R; ++r) store(sums + r * kTileRows, sum[r]);
  }

  // Rows from `row` on, R at a time as long as there are R, the rest half as many.
  template <int R>
  void add_rows(const MatmulArgs& args, int32_t row, int32_t block, int32_t count) {
    for (; row + R <= args.rows; row += R) add<R>(args, row, block, count);
    if constexpr (R > 1) {
      if (row < args.rows) add_rows<R / 2>(args, row, block, count);
    }
  }
};

template <typename Traits>
void panel_rows(const MatmulArgs& args) {
  using Blocks = Panel<Traits>;
  Blocks panel;
  const int32_t blocks = args.depth / kBlock, tiles = (args.outputs + kTileRows - 1) / kTileRows;
  for (int32_t t = 0; t < tiles; ++t) {
    const uint8_t* tile = tile_of(args, t);
    for (int32_t i = 0; i < args.rows * kTileRows; i += kTileRows) store(panel.acc + i, zero());
    for (int32_t b = 0; b < blocks; b += Blocks::kBlocks) {
      const int32_t count = blocks - b < Blocks::kBlocks ? blocks - b : Blocks::kBlocks;
      panel.unpack(tile + unit_at<Traits>(b), count);
      panel.template add_rows<kRowsAtOnce>(args, 0, b, count);
    }
    for (int32_t row = 0; row < args.rows; ++row) {
      const Activations<1> x(args, row);
      F acc[1] = {load(panel.acc + row * kTileRows)};
      add_outliers<Traits>(tile, x, acc);
      finish(args, row, t * kTileRows, acc[0]);
    }
  }
}

// As many rows as one micro-kernel takes read the packed weights, any others a panel.
template <typename Traits, int R>
void quantised_matmul(const MatmulArgs& args) {
  if (args.rows == R) return few_rows<Traits, R>(args);
  if constexpr (R < kRowsAtOnce) {
    quantised_matmul<Traits, 2 * R>(args);
  } else {
    panel_rows<Traits>(args);
  }
}

}  // namespace
}  // namespace bessemer::kernels
