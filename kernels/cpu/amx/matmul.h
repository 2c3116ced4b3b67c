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
struct Panel {
  struct Block {
    int8_t q[kPanelRows][kBlock];
    float scale[kPanelRows], scaled_sum[kPanelRows];
    int32_t sum[kPanelRows];
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

// A weight tile's quants, a byte each, and its scales.
template <typename Traits>
struct ByteTile {
  const uint8_t* quants;
  const typename Traits::Scale* scales;
};
constexpr size_t kByteBlock = size_t{kTileRows} * kBlock;

template <typename Traits>
ByteTile<Traits> to_bytes(const std::byte* tile, int32_t blocks, std::byte* scratch) {
  const auto* quants = reinterpret_cast<const uint8_t*>(tile);
  const auto* scales = reinterpret_cast<const typename Traits::Scale*>(
      quants + static_cast<ptrdiff_t>(blocks) * Traits::kQuantBytes);
  if constexpr (Traits::kBits == 8) return {quants, scales};
  auto* out = reinterpret_cast<uint8_t*>(scratch);
  const __m512i mask = _mm512_set1_epi8(0xf);
  for (int32_t i = 0; i < blocks * 4; ++i) {  // inputs 4i.. in the low halves, 16 on in the high
    const __m512i pairs = _mm512_loadu_si512(quants + static_cast<ptrdiff_t>(i) * 64);
    uint8_t* to = out + i / 4 * static_cast<ptrdiff_t>(kByteBlock) + i % 4 * 64;
    _mm512_store_si512(to, _mm512_and_si512(pairs, mask));
    _mm512_store_si512(to + 256, _mm512_and_si512(_mm512_srli_epi16(pairs, 4), mask));
  }
  return {out, scales};
}

template <typename Traits, int kOut, int kPanel, int kWeights>
inline void multiply(int32_t* out) {
  _tile_zero(kOut);
  if constexpr (Traits::kBits == 4) {
    _tile_dpbsud(kOut, kFirstPanel + kPanel, kFirstWeights + kWeights);
  } else {
    _tile_dpbssd(kOut, kFirstPanel + kPanel, kFirstWeights + kWeights);
  }
  _tile_stored(kOut, out + kOut * kResult, 4 * kTileColumns);
}

// P panels times T tiles, each 1 or 2.
template <typename Traits, int P, int T>
struct PanelProduct {
  const Panel* panels;
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
    const ptrdiff_t at = static_cast<ptrdiff_t>(b) * static_cast<ptrdiff_t>(kByteBlock);
    _tile_loadd(4, panels[0].blocks[b].q, kBlock);
    _tile_loadd(6, tiles[0].quants + at, 64);
    multiply<Traits, 0, 0, 0>(out);
    if constexpr (P == 2) {
      _tile_loadd(5, panels[1].blocks[b].q, kBlock);
      multiply<Traits, 1, 1, 0>(out);
    }
    if constexpr (T == 2) {
      _tile_loadd(7, tiles[1].quants + at, 64);
      multiply<Traits, 2, 0, 1>(out);
      if constexpr (P == 2) multiply<Traits, 3, 1, 1>(out);
    }
  }
  void steps(int32_t b, int p, int t) {
    const auto* scales = tiles[t].scales + static_cast<ptrdiff_t>(b) * Traits::kScales;
    const F d = load(scales);
    F m = zero();
    if constexpr (Traits::kMin) m = load(scales + kTileRows);
    const Panel::Block& x = panels[p].blocks[b];
    const int32_t* dot = dots[b % 2] + (p + 2 * t) * kResult;
    float* sums = acc[p][t];
#pragma clang loop unroll(full)
    for (int r = 0; r < kPanelRows; ++r) {
      I exact = {_mm512_load_si512(dot + r * kTileColumns)};
      if constexpr (Traits::kOffset != 0) exact = add(exact, set_int(-Traits::kOffset * x.sum[r]));
      F sum = fma(to_float(exact), mul(d, set(x.scale[r])), load(sums + r * kTileColumns));
      if constexpr (Traits::kMin) sum = fma(m, set(x.scaled_sum[r]), sum);
      store(sums + r * kTileColumns, sum);
    }
  }
};

// Panels [panel, panel + P) times tiles [tile, tile + T).
template <typename Traits, int P, int T>
void panel_tiles(const MatmulArgs& args, const Panel* panels, int32_t panel, int32_t tile,
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
        const std::byte* packed = args.tiles + static_cast<size_t>(tile + t) * args.tile_bytes;
        F acc[1] = {load(product.acc[p][t] + r * kTileColumns)};
        add_outliers<Traits, 1>(reinterpret_cast<const uint8_t*>(packed), tiles[t].scales, x, acc);
        finish(args, row, (tile + t) * kTileRows, acc[0]);
      }
    }
  }
}

template <typename Traits, int T>
void tiles_of_panels(const MatmulArgs& args, const Panel* panels, int32_t panel_count, int32_t tile,
                     std::byte* scratch) {
  const int32_t blocks = args.depth / kBlock;
  ByteTile<Traits> tiles[T];
  for (int t = 0; t < T; ++t) {
    tiles[t] = to_bytes<Traits>(args.tiles + static_cast<size_t>(tile + t) * args.tile_bytes,
                                blocks, scratch + static_cast<size_t>(t * blocks) * kByteBlock);
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
    Panel panels[kMatmulRows / kPanelRows];
    auto* at = reinterpret_cast<Panel::Block*>(args.scratch);
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
  rows_from<Traits, kRowsAtOnce>(args, panel_count * kPanelRows);
}

// Panels of all rows, and the bytes of two tiles.
size_t tile_scratch(int32_t depth) {
  const auto blocks = static_cast<size_t>(depth / kBlock);
  return blocks * (kMatmulRows / kPanelRows * sizeof(Panel::Block) + 2 * kByteBlock);
}

}  // namespace
}  // namespace bessemer::kernels
