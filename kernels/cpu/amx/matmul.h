// Products of many rows by AMX's int8 tiles; include after the AVX-512 sources, whose arithmetic it
// repeats bit for bit: integer products are exact, and the steps behind each block of 32 inputs are
// whole_block's, in its order (generic/matmul.h).
//
// A tile register holds 16 rows of 64 bytes. The packed weights already lie as its second operand
// wants them (layout.h); the activations are copied into panels of 16 rows. Two panels times two
// weight tiles fill the eight registers: 4 loads for 4 products, and loads cost as much as products
// (Sapphire Rapids at 1.07 GHz under AMX, ns per product of 16 x 16 x 32: 15 alone, 29 so, 41 with
// two loads for each). The products of a block run ahead of the float steps of the one before.
#pragma once
#include "kernels/cpu/generic/matmul.h"

namespace bessemer::kernels {
namespace {

constexpr int kPanelRows = 16;
constexpr int kTileColumns = kTileRows;  // weight rows of a tile are columns of the result
constexpr int kResult = kPanelRows * kTileColumns;

// Registers: results 0 to 3, panels 4 and 5, weights 6 and 7.
constexpr int kFirstPanel = 4, kFirstWeights = 6;

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

inline void configure_tiles() {
  TileConfig config;
  for (int i = 0; i < 8; ++i) {
    const bool panel = i >= kFirstPanel && i < kFirstWeights;
    config.row_bytes[i] = panel ? kBlock : 4 * kTileColumns;
    config.rows[i] = i >= kFirstWeights ? kBlock / 4 : kPanelRows;
  }
  _tile_loadconfig(&config);
}

// 16 rows of activations, block by block. Lies in the caller's scratch.
struct RowPanel {
  struct Block {
    int8_t q[kPanelRows][kBlock];
    float scale[kPanelRows], scaled_sum[kPanelRows], sum[kPanelRows];
  };
  static_assert(sizeof(Block) % 64 == 0);
  Block* blocks;

  void fill(const MatmulArgs& args, int32_t first_row) const {
    for (int r = 0; r < kPanelRows; ++r) {
      const std::byte* row = args.x + static_cast<size_t>(first_row + r) * args.x_stride_bytes;
      const int8_t* q = quants_of(row);
      const ActivationBlock* from = blocks_of(row, args.depth);
      for (int32_t b = 0; b < args.depth / kBlock; ++b) {
        __builtin_memcpy(blocks[b].q[r], q + b * kBlock, kBlock);
        blocks[b].scale[r] = from[b].scale;
        blocks[b].scaled_sum[r] = from[b].scaled_sum;
        blocks[b].sum[r] = from[b].sum;
      }
    }
  }
};

// A weight tile unpacked: its quants, a byte each, and its scales. Lies in the caller's scratch;
// quants that are bytes already stay where they are.
template <typename Traits>
struct ByteTile {
  static constexpr bool kInPlace = Traits::kBits == 8;
  const uint8_t* quants;
  const float* scales;

  const uint8_t* block(int32_t b) const {
    return quants + (kInPlace ? quants_at<Traits>(b) : static_cast<ptrdiff_t>(b) * kPlainBytes);
  }
};
// Of a block, of the widest format.
constexpr size_t kByteTileBlock = kPlainBytes + 2 * kTileRows * sizeof(float);

// Of a tile: the last unit's scales are unpacked whole, and a unit of a depth that need not fill it
// has two blocks.
constexpr size_t byte_tile_bytes(int32_t blocks) {
  return static_cast<size_t>(blocks + 1) * kByteTileBlock;
}

template <typename Traits>
ByteTile<Traits> unpack_tile(const uint8_t* tile, int32_t blocks, std::byte* scratch) {
  constexpr int32_t kUnit = Traits::kUnit;
  static_assert(kPlainBytes + Traits::kBlockScales * sizeof(float) <= kByteTileBlock);
  const int32_t padded = (blocks + kUnit - 1) / kUnit * kUnit;
  auto* scales = reinterpret_cast<float*>(scratch);
  auto* quants =
      reinterpret_cast<uint8_t*>(scales + static_cast<ptrdiff_t>(padded) * Traits::kBlockScales);
  for (int32_t b = 0; b < blocks; ++b) {
    if (b % kUnit == 0) {
      const uint8_t* unit = tile + unit_at<Traits>(b);
      ask_ahead<Traits::kScaleBytes>(unit);
      unpack_scales<Traits>(unit, scales + static_cast<ptrdiff_t>(b) * Traits::kBlockScales);
    }
    if constexpr (!ByteTile<Traits>::kInPlace) {
      const uint8_t* packed = tile + quants_at<Traits>(b);
      ask_ahead<Traits::kQuantBytes>(packed);
      unpack_quants<Traits::kBits>(packed, quants + static_cast<ptrdiff_t>(b) * kPlainBytes);
    }
  }
  return {ByteTile<Traits>::kInPlace ? tile : quants, scales};
}

template <typename Traits, int kOut, int kPanel, int kWeights>
inline void multiply(int32_t* out) {
  _tile_zero(kOut);
  if constexpr (Traits::kBits == 8) {
    _tile_dpbssd(kOut, kFirstPanel + kPanel, kFirstWeights + kWeights);
  } else {
    _tile_dpbsud(kOut, kFirstPanel + kPanel, kFirstWeights + kWeights);
  }
  _tile_stored(kOut, out + kOut * kResult, 4 * kTileColumns);
}

// P panels times T tiles, each 1 or 2.
template <typename Traits, int P, int T>
struct PanelProduct {
  const RowPanel* panels;
  ByteTile<Traits> tiles[T];
  alignas(64) int32_t dots[2][4 * kResult];  // of this block and of the next one
  alignas(64) float acc[P][T][kResult];      // [row][output]

  void run(int32_t blocks) {
    for (int p = 0; p < P; ++p) {
      for (int t = 0; t < T; ++t) {
        for (int r = 0; r < kPanelRows; ++r) store(acc[p][t] + r * kTileColumns, zero());
      }
    }
    products(0);
    for (int32_t b = 0; b < blocks; ++b) {
      if (b + 1 < blocks) products(b + 1);
      for (int t = 0; t < T; ++t) {
        for (int p = 0; p < P; ++p) steps(b, p, t);
      }
    }
  }

 private:
  // Results p + 2t of block `b`.
  void products(int32_t b) {
    int32_t* out = dots[b % 2];
    _tile_loadd(4, panels[0].blocks[b].q, kBlock);
    _tile_loadd(6, tiles[0].block(b), kStepBytes);
    multiply<Traits, 0, 0, 0>(out);
    if constexpr (P == 2) {
      _tile_loadd(5, panels[1].blocks[b].q, kBlock);
      multiply<Traits, 1, 1, 0>(out);
    }
    if constexpr (T == 2) {
      _tile_loadd(7, tiles[1].block(b), kStepBytes);
      multiply<Traits, 2, 0, 1>(out);
      if constexpr (P == 2) multiply<Traits, 3, 1, 1>(out);
    }
  }
  void steps(int32_t b, int p, int t) {
    const float* scales = tiles[t].scales + static_cast<ptrdiff_t>(b) * Traits::kBlockScales;
    const F d = load(scales);
    F m = zero();
    if constexpr (Traits::kMin) m = load(scales + kTileRows);
    const RowPanel::Block& x = panels[p].blocks[b];
    const int32_t* dot = dots[b % 2] + (p + 2 * t) * kResult;
    float* sums = acc[p][t];
#pragma clang loop unroll(full)
    for (int r = 0; r < kPanelRows; ++r) {
      const I exact = {_mm512_load_si512(dot + r * kTileColumns)};
      F product = to_float(exact);
      if constexpr (Traits::kOffset != 0)
        product = fma(set(-Traits::kOffset), set(x.sum[r]), product);
      F sum = fma(product, mul(d, set(x.scale[r])), load(sums + r * kTileColumns));
      if constexpr (Traits::kMin) sum = fma(m, set(x.scaled_sum[r]), sum);
      store(sums + r * kTileColumns, sum);
    }
  }
};

// Panels [panel, panel + P) times tiles [tile, tile + T).
template <typename Traits, int P, int T>
void panel_tiles(const MatmulArgs& args, const RowPanel* panels, int32_t panel, int32_t tile,
                 const ByteTile<Traits>* tiles) {
  PanelProduct<Traits, P, T> product;
  product.panels = panels + panel;
  for (int t = 0; t < T; ++t) product.tiles[t] = tiles[t];
  product.run(args.depth / kBlock);
  for (int p = 0; p < P; ++p) {
    for (int r = 0; r < kPanelRows; ++r) {
      const int32_t row = (panel + p) * kPanelRows + r;
      const Activations<1> x(args, row);
      for (int t = 0; t < T; ++t) {
        F acc[1] = {load(product.acc[p][t] + r * kTileColumns)};
        add_outliers<Traits>(tile_of(args, tile + t), x, acc);
        finish(args, row, (tile + t) * kTileRows, acc[0]);
      }
    }
  }
}

template <typename Traits, int T>
void tiles_of_panels(const MatmulArgs& args, const RowPanel* panels, int32_t panel_count,
                     int32_t tile, std::byte* scratch) {
  const int32_t blocks = args.depth / kBlock;
  ByteTile<Traits> tiles[T];
  for (int t = 0; t < T; ++t) {
    tiles[t] = unpack_tile<Traits>(tile_of(args, tile + t), blocks,
                                   scratch + static_cast<size_t>(t) * byte_tile_bytes(blocks));
  }
  int32_t panel = 0;
  for (; panel + 2 <= panel_count; panel += 2) {
    panel_tiles<Traits, 2, T>(args, panels, panel, tile, tiles);
  }
  if (panel < panel_count) panel_tiles<Traits, 1, T>(args, panels, panel, tile, tiles);
}

// Whole panels by tiles; the rows left over, fewer than 16, as AVX-512 does them.
template <TileFormat kFormat>
void matmul_by_tiles(const MatmulArgs& args) {
  using Traits = TileTraits<kFormat>;
  static_assert(Traits::kGroups == 1);
  const int32_t panel_count = args.rows / kPanelRows, blocks = args.depth / kBlock;
  if (panel_count > 0) {
    RowPanel panels[kMatmulRows / kPanelRows];
    auto* at = reinterpret_cast<RowPanel::Block*>(args.scratch);
    for (int32_t p = 0; p < panel_count; ++p, at += blocks) {
      panels[p].blocks = at;
      panels[p].fill(args, p * kPanelRows);
    }
    auto* bytes = reinterpret_cast<std::byte*>(at);
    configure_tiles();
    const int32_t tile_count = (args.outputs + kTileRows - 1) / kTileRows;
    int32_t tile = 0;
    for (; tile + 2 <= tile_count; tile += 2) {
      tiles_of_panels<Traits, 2>(args, panels, panel_count, tile, bytes);
    }
    if (tile < tile_count) tiles_of_panels<Traits, 1>(args, panels, panel_count, tile, bytes);
    _tile_release();  // lest every switch of threads saves 8 KiB
  }
  MatmulArgs rest = args;
  const int32_t done = panel_count * kPanelRows;
  rest.x += static_cast<size_t>(done) * args.x_stride_bytes;
  rest.out += done * args.out_stride;
  rest.rows -= done;
  if (rest.rows > 0) quantised_matmul<Traits, 1>(rest);
}

// Panels of all rows, and two tiles.
size_t tile_scratch(int32_t depth) {
  const int32_t blocks = depth / kBlock;
  return static_cast<size_t>(blocks) * (kMatmulRows / kPanelRows * sizeof(RowPanel::Block)) +
         2 * byte_tile_bytes(blocks);
}

}  // namespace
}  // namespace bessemer::kernels
