// Products of many rows by AMX's int8 tiles; include after the AVX-512 sources, whose arithmetic it
// repeats bit for bit: integer products are exact, and the steps behind each block of 32 inputs are
// whole_block's, in its order (generic/matmul.h).
//
// A tile register holds 16 rows of 64 bytes. The packed weights already lie as its second operand
// wants them (layout.h); the activations are copied into panels of 16 rows. A block of two weight
// tiles is multiplied with one panel after the other, whose float steps follow one panel behind: for
// each row both tiles' at once, which share what they read of the row. Quants are made signed when a
// tile is unpacked, so that the product needs no step for the format's offset: both are exact.
#pragma once
#include "kernels/cpu/generic/matmul.h"

namespace bessemer::kernels {
namespace {

constexpr int kPanelRows = 16;
constexpr int kTileColumns = kTileRows;  // weight rows of a tile are columns of the result
constexpr int kResult = kPanelRows * kTileColumns;

// Registers: results 0 to 3, panels 4 and 5, weights 6 and 7. Panels take turns with the halves.
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
    float scale[kPanelRows], scaled_sum[kPanelRows];
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
      }
    }
  }
};

// A weight tile unpacked: its quants, a byte each and signed where the format has an offset, and its
// scales. Lies in the caller's scratch; quants that are bytes already stay where they are.
template <typename Traits>
struct ByteTile {
  static constexpr bool kInPlace = Traits::kBits == 8;
  static constexpr bool kSigned = kInPlace || Traits::kOffset != 0;
  const uint8_t* quants;
  const float* scales;

  const uint8_t* block(int32_t b) const {
    return quants + (kInPlace ? quants_at<Traits>(b) : static_cast<ptrdiff_t>(b) * kPlainBytes);
  }
  const float* scale(int32_t b) const {
    return scales + static_cast<ptrdiff_t>(b) * Traits::kBlockScales;
  }
  // As weight_column() of the packed tile.
  F column(int32_t input) const {
    const int32_t b = input / kBlock, k = input % kBlock;
    const __m512i step = _mm512_load_si512(block(b) + k / 4 * kStepBytes);
    const __m512i high = _mm512_sll_epi32(step, _mm_cvtsi32_si128(24 - k % 4 * 8));
    const I quant = {kSigned ? _mm512_srai_epi32(high, 24) : _mm512_srli_epi32(high, 24)};
    const F d = load(scale(b));
    if constexpr (Traits::kMin) return fma(d, to_float(quant), load(scale(b) + kTileRows));
    return mul(d, to_float(quant));
  }
};
// Of a block, of the widest format.
constexpr size_t kByteTileBlock = kPlainBytes + 2 * kTileRows * sizeof(float);

// Of a tile: the last unit's scales are unpacked whole, and a unit of a depth that need not fill it
// has two blocks.
constexpr size_t byte_tile_bytes(int32_t blocks) {
  return static_cast<size_t>(blocks + 1) * kByteTileBlock;
}

template <int32_t kOffset>
inline void make_signed(uint8_t* block) {
#pragma clang loop unroll(full)
  for (int i = 0; i < kPlainBytes; i += 64) {
    const __m512i quants = _mm512_load_si512(block + i);
    _mm512_store_si512(block + i, _mm512_sub_epi8(quants, _mm512_set1_epi8(kOffset)));
  }
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
      uint8_t* bytes = quants + static_cast<ptrdiff_t>(b) * kPlainBytes;
      unpack_quants<Traits::kBits>(packed, bytes);
      if constexpr (Traits::kOffset != 0) make_signed<Traits::kOffset>(bytes);
    }
  }
  return {ByteTile<Traits>::kInPlace ? tile : quants, scales};
}

template <typename Traits, int kOut, int kPanel, int kWeights>
inline void multiply(int32_t* out) {
  _tile_zero(kOut);
  if constexpr (ByteTile<Traits>::kSigned) {
    _tile_dpbssd(kOut, kFirstPanel + kPanel, kFirstWeights + kWeights);
  } else {
    _tile_dpbsud(kOut, kFirstPanel + kPanel, kFirstWeights + kWeights);
  }
  _tile_stored(kOut, out, 4 * kTileColumns);
}

// Packed tiles that memory brings into the second cache while those before them are computed with:
// a few lines for each block.
struct NextTiles {
  const uint8_t* at = nullptr;
  size_t lines_each = 0;

  void ask() {
    for (size_t i = 0; i < lines_each; ++i, at += 64) __builtin_prefetch(at, 0, 2);
  }
};

// Panels times T tiles, 1 or 2.
template <typename Traits, int T>
struct PanelProduct {
  static constexpr int kMostPanels = kMatmulRows / kPanelRows;
  const RowPanel* panels;
  int32_t panel_count;
  ByteTile<Traits> tiles[T];
  NextTiles next;
  // Of two panels in turn. What is being stored must not share its address modulo 4096 with what is
  // being read: the reads would wait for it.
  alignas(4096) int32_t dots[2][T * kResult];
  alignas(4096) float acc[kMostPanels][T * kResult];  // [tile][row][output]

  void run(int32_t blocks) {
    for (int32_t p = 0; p < panel_count; ++p) {
      for (int i = 0; i < T * kPanelRows; ++i) store(acc[p] + i * kTileColumns, zero());
    }
    int32_t last_block = -1, last_panel = 0;
    bool half = false;
    for (int32_t b = 0; b < blocks; ++b) {
      _tile_loadd(kFirstWeights, tiles[0].block(b), kStepBytes);
      if constexpr (T == 2) _tile_loadd(kFirstWeights + 1, tiles[1].block(b), kStepBytes);
      next.ask();
      for (int32_t p = 0; p < panel_count; ++p, half = !half) {
        const int8_t* rows = panels[p].blocks[b].q[0];
        half ? products<1>(rows) : products<0>(rows);
        if (last_block >= 0) steps(last_block, last_panel, dots[!half]);
        last_block = b;
        last_panel = p;
      }
    }
    steps(last_block, last_panel, dots[!half]);
  }

 private:
  template <int kHalf>
  void products(const int8_t* rows) {
    _tile_loadd(kFirstPanel + kHalf, rows, kBlock);
    multiply<Traits, 2 * kHalf, kHalf, 0>(dots[kHalf]);
    if constexpr (T == 2) multiply<Traits, 2 * kHalf + 1, kHalf, 1>(dots[kHalf] + kResult);
  }
  void steps(int32_t b, int32_t p, const int32_t* dot) {
    F d[T], m[T];
    for (int t = 0; t < T; ++t) {
      d[t] = load(tiles[t].scale(b));
      if constexpr (Traits::kMin) m[t] = load(tiles[t].scale(b) + kTileRows);
    }
    const RowPanel::Block& x = panels[p].blocks[b];
    float* sums = acc[p];
#pragma clang loop unroll(full)
    for (int r = 0; r < kPanelRows; ++r) {
      const F scale = set(x.scale[r]), scaled_sum = Traits::kMin ? set(x.scaled_sum[r]) : zero();
#pragma clang loop unroll(full)
      for (int t = 0; t < T; ++t) {
        const int at = t * kResult + r * kTileColumns;
        const I exact = {_mm512_load_si512(dot + at)};
        F sum = fma(to_float(exact), mul(d[t], scale), load(sums + at));
        if constexpr (Traits::kMin) sum = fma(m[t], scaled_sum, sum);
        store(sums + at, sum);
      }
    }
  }
};

template <typename Traits, int T>
void panel_tiles(const MatmulArgs& args, const RowPanel* panels, int32_t panel_count, int32_t tile,
                 const ByteTile<Traits>* tiles) {
  PanelProduct<Traits, T> product;
  product.panels = panels;
  product.panel_count = panel_count;
  const auto line = static_cast<size_t>(args.depth / kBlock) * 64;
  product.next = {tile_of(args, tile + T), (T * args.tile_bytes + line - 1) / line};
  for (int t = 0; t < T; ++t) product.tiles[t] = tiles[t];
  product.run(args.depth / kBlock);
  for (int32_t row = 0; row < panel_count * kPanelRows; ++row) {
    const float* sums = product.acc[row / kPanelRows] + row % kPanelRows * kTileColumns;
    F acc[T];
    for (int t = 0; t < T; ++t) acc[t] = load(sums + t * kResult);
    const Outlier* outlier = Activations<1>(args, row).outliers[0];
    for (; outlier->input != kNoInput; ++outlier) {
      for (int t = 0; t < T; ++t) {
        acc[t] = fma(tiles[t].column(outlier->input), set(outlier->value), acc[t]);
      }
    }
    for (int t = 0; t < T; ++t) finish(args, row, (tile + t) * kTileRows, acc[t]);
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
  panel_tiles<Traits, T>(args, panels, panel_count, tile, tiles);
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
