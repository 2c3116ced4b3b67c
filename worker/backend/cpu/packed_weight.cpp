#include "worker/backend/cpu/packed_weight.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "common/check.h"
#include "worker/backend/cpu/unpack.h"
#include "worker/format/dequantize.h"

namespace bessemer::cpu {
namespace {

using kernels::kBlock;
using kernels::kTileRows;
using kernels::TileFormat;
using kernels::TileTraits;

// Calls function(TileTraits<format>{}).
template <typename Function>
auto with_traits(TileFormat format, const Function& function) {
  switch (format) {
    case TileFormat::u4_offset8:
      return function(TileTraits<TileFormat::u4_offset8>{});
    case TileFormat::u4_min:
      return function(TileTraits<TileFormat::u4_min>{});
    case TileFormat::u4_min_f32:
      return function(TileTraits<TileFormat::u4_min_f32>{});
    case TileFormat::i8:
      return function(TileTraits<TileFormat::i8>{});
    case TileFormat::i8_min:
      return function(TileTraits<TileFormat::i8_min>{});
    case TileFormat::i8_min_f32:
      return function(TileTraits<TileFormat::i8_min_f32>{});
    case TileFormat::i8_half:
      return function(TileTraits<TileFormat::i8_half>{});
    case TileFormat::i8_half_min:
      return function(TileTraits<TileFormat::i8_half_min>{});
    case TileFormat::f32:
      return function(TileTraits<TileFormat::f32>{});
    case TileFormat::f16:
      return function(TileTraits<TileFormat::f16>{});
    case TileFormat::bf16:
      break;
  }
  return function(TileTraits<TileFormat::bf16>{});
}

// Where input `k` of tile row `lane` lies among a block's 8-bit quants, or its nibble's byte (k <
// 16) among 4-bit ones.
size_t quant_at(size_t lane, size_t k) {
  return k / 4 * (4 * static_cast<size_t>(kTileRows)) + lane * 4 + k % 4;
}

// Scales are exact in their storage type: an f16 of the file, or a product with 24 bits to spare.
void put_scale(kernels::Half* at, float value) {
  at->bits = float_to_half(value);
}
void put_scale(float* at, float value) {
  *at = value;
}
float get_scale(const kernels::Half* at) {
  return half_to_float(at->bits);
}
float get_scale(const float* at) {
  return *at;
}

template <typename Traits>
struct TileView {
  uint8_t* quants;
  typename Traits::Scale* scales;

  TileView(const std::byte* tile, int32_t cols)
      : quants(reinterpret_cast<uint8_t*>(const_cast<std::byte*>(tile))),
        scales(reinterpret_cast<typename Traits::Scale*>(
            quants + static_cast<ptrdiff_t>(cols / kBlock) * Traits::kQuantBytes)) {}
  void to_block(int32_t b) {
    quants += static_cast<ptrdiff_t>(b) * Traits::kQuantBytes;
    scales += static_cast<ptrdiff_t>(b) * Traits::kScales;
  }
  // Scale, or with `min` minimum, of the block's half `g`.
  typename Traits::Scale* scale(size_t lane, size_t g, bool min) const {
    const size_t groups = Traits::kMin ? 2 : 1;
    return scales + (g * groups + (min ? 1 : 0)) * kTileRows + lane;
  }
};

template <typename Traits>
void put_block(TileView<Traits> tile, size_t lane, const WeightBlock& block) {
  constexpr size_t kBytes = size_t{kBlock} * Traits::kBits / 8;
  for (size_t at = 0; at < kBytes; at += 4) {
    std::memcpy(tile.quants + quant_at(lane, at), block.quants.data() + at, 4);
  }
  for (size_t g = 0; g < Traits::kGroups; ++g) {
    put_scale(tile.scale(lane, g, false), block.scales[g]);
    if constexpr (Traits::kMin) put_scale(tile.scale(lane, g, true), block.mins[g]);
  }
}

template <typename Traits>
void get_block(TileView<Traits> tile, size_t lane, float* out) {
  for (size_t k = 0; k < 32; ++k) {
    const size_t g = Traits::kGroups == 2 ? k / 16 : 0;
    int quant;
    if constexpr (Traits::kBits == 4) {
      quant = tile.quants[quant_at(lane, k % 16)] >> (k / 16 * 4) & 0xf;
    } else {
      quant = static_cast<int8_t>(tile.quants[quant_at(lane, k)]);
    }
    out[k] = get_scale(tile.scale(lane, g, false)) * static_cast<float>(quant - Traits::kOffset);
    if constexpr (Traits::kMin) out[k] = out[k] + get_scale(tile.scale(lane, g, true));
  }
}

// Packs rows [first, first + count) of `part`, count <= 16, into a zeroed tile.
void pack_tile(const WeightPart& part, int32_t first, int32_t count, std::byte* tile) {
  const size_t stride = row_bytes(part.type, part.cols);
  with_traits(tile_format(part.type), [&]<typename Traits>(Traits) {
    for (int32_t lane = 0; lane < count; ++lane) {
      const std::byte* row = part.bytes.data() + static_cast<size_t>(first + lane) * stride;
      if constexpr (Traits::kQuantised) {
        TileView<Traits> view(tile, part.cols);
        for (int32_t b = 0; b < part.cols / kBlock; ++b) {
          put_block(view, static_cast<size_t>(lane), unpack_block(part.type, row, b));
          view.to_block(1);
        }
      } else {
        constexpr size_t kWidth = sizeof(typename Traits::Value);
        for (int32_t k = 0; k < part.cols; ++k) {
          std::memcpy(
              tile + (static_cast<size_t>(k) * kTileRows + static_cast<size_t>(lane)) * kWidth,
              row + static_cast<size_t>(k) * kWidth, kWidth);
        }
      }
    }
  });
}

float to_float(float value) {
  return value;
}
float to_float(kernels::Half value) {
  return half_to_float(value.bits);
}
float to_float(kernels::Bfloat value) {
  return bfloat_to_float(value.bits);
}

}  // namespace

bool is_quantised(TileFormat format) {
  return with_traits(format, []<typename Traits>(Traits) { return Traits::kQuantised; });
}

size_t tile_size(TileFormat format, int32_t cols) {
  const size_t bytes = with_traits(format, [&]<typename Traits>(Traits) {
    if constexpr (Traits::kQuantised) {
      return static_cast<size_t>(cols / kBlock) * size_t{Traits::kBlockBytes};
    } else {
      return static_cast<size_t>(cols) * size_t{kTileRows} * sizeof(typename Traits::Value);
    }
  });
  return host::round_up(bytes);
}

StatusOr<WeightPtr> PackedWeight::pack(std::span<const WeightPart> parts, ThreadPool& pool) {
  ASSIGN_OR_RETURN(const int32_t rows, host::check_parts(parts));
  auto weight = std::make_unique<PackedWeight>();
  weight->rows_ = rows;
  weight->cols_ = parts.front().cols;
  if (std::ranges::any_of(parts, [](const WeightPart& part) { return !part.bias.empty(); })) {
    weight->bias_.resize(static_cast<size_t>(rows));
    size_t first = 0;
    for (const WeightPart& part : parts) {
      std::ranges::copy(part.bias, weight->bias_.begin() + static_cast<ptrdiff_t>(first));
      first += static_cast<size_t>(part.rows);
    }
  }
  if (rows == 1) {
    weight->vector_.resize(static_cast<size_t>(weight->cols_));
    dequantize(parts.front().type, parts.front().bytes, weight->vector_);
    weight->size_bytes_ = weight->vector_.size() * sizeof(float);
  } else {
    RETURN_IF_ERROR(weight->place(parts, pool));
  }
  weight->size_bytes_ += weight->bias_.size() * sizeof(float);
  return WeightPtr(std::move(weight));
}

Status PackedWeight::place(std::span<const WeightPart> parts, ThreadPool& pool) {
  size_t bytes = 0;
  int32_t first_row = 0;
  for (const WeightPart& part : parts) {
    const TileFormat format = tile_format(part.type);
    Segment segment{format, first_row, part.rows, tile_size(format, cols_), nullptr};
    bytes += segment.tile_bytes * static_cast<size_t>(segment.tile_count());
    first_row += part.rows;
    segments_.push_back(segment);
  }
  tiles_ = host::allocate_array<std::byte>(bytes);
  if (!tiles_) {
    return absl::ResourceExhaustedError("weight '" + parts.front().name + "': cannot allocate " +
                                        std::to_string(bytes) + " bytes");
  }
  size_bytes_ = bytes;
  std::byte* at = tiles_.get();
  for (size_t i = 0; i < parts.size(); ++i) {
    Segment& segment = segments_[i];
    segment.tiles = at;
    // Several tiles a task keep the loop's counter in its bounds for the largest vocabularies.
    constexpr int32_t kTilesPerTask = 16;
    pool.run((segment.tile_count() + kTilesPerTask - 1) / kTilesPerTask, [&](int32_t task,
                                                                             int32_t) {
      const int32_t end = std::min((task + 1) * kTilesPerTask, segment.tile_count());
      for (int32_t t = task * kTilesPerTask; t < end; ++t) {
        std::byte* tile = at + static_cast<size_t>(t) * segment.tile_bytes;
        std::memset(tile, 0, segment.tile_bytes);
        pack_tile(parts[i], t * kTileRows, std::min(kTileRows, segment.rows - t * kTileRows), tile);
      }
    });
    at += segment.tile_bytes * static_cast<size_t>(segment.tile_count());
  }
  return absl::OkStatus();
}

bool PackedWeight::any_quantised() const {
  return std::ranges::any_of(segments_, [](const Segment& s) { return is_quantised(s.format); });
}

void PackedWeight::read_row(int32_t row, float* out) const {
  if (!vector_.empty()) {
    std::ranges::copy(vector_, out);
    return;
  }
  const auto after =
      std::ranges::find_if(segments_, [&](const Segment& s) { return row < s.first_row + s.rows; });
  CHECK(row >= 0 && after != segments_.end());
  const int32_t within = row - after->first_row;
  const std::byte* tile =
      after->tiles + static_cast<size_t>(within / kTileRows) * after->tile_bytes;
  const auto lane = static_cast<size_t>(within % kTileRows);
  with_traits(after->format, [&]<typename Traits>(Traits) {
    if constexpr (Traits::kQuantised) {
      TileView<Traits> view(tile, cols_);
      for (int32_t b = 0; b < cols_ / kBlock; ++b) {
        get_block(view, lane, out + static_cast<ptrdiff_t>(b) * kBlock);
        view.to_block(1);
      }
    } else {
      const auto* values = reinterpret_cast<const typename Traits::Value*>(tile);
      for (int32_t k = 0; k < cols_; ++k) {
        out[k] = to_float(values[static_cast<size_t>(k) * kTileRows + lane]);
      }
    }
  });
}

}  // namespace bessemer::cpu
