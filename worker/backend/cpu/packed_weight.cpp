#include "worker/backend/cpu/packed_weight.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "common/check.h"
#include "worker/backend/cpu/block_layout.h"
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
    case TileFormat::q4_0:
      return function(TileTraits<TileFormat::q4_0>{});
    case TileFormat::q4_1:
      return function(TileTraits<TileFormat::q4_1>{});
    case TileFormat::q5_0:
      return function(TileTraits<TileFormat::q5_0>{});
    case TileFormat::q5_1:
      return function(TileTraits<TileFormat::q5_1>{});
    case TileFormat::q8_0:
      return function(TileTraits<TileFormat::q8_0>{});
    case TileFormat::q2_k:
      return function(TileTraits<TileFormat::q2_k>{});
    case TileFormat::q3_k:
      return function(TileTraits<TileFormat::q3_k>{});
    case TileFormat::q4_k:
      return function(TileTraits<TileFormat::q4_k>{});
    case TileFormat::q5_k:
      return function(TileTraits<TileFormat::q5_k>{});
    case TileFormat::q6_k:
      return function(TileTraits<TileFormat::q6_k>{});
    case TileFormat::f32:
      return function(TileTraits<TileFormat::f32>{});
    case TileFormat::f16:
      return function(TileTraits<TileFormat::f16>{});
    case TileFormat::bf16:
      break;
  }
  return function(TileTraits<TileFormat::bf16>{});
}

// The tile format that holds `type` without rounding.
TileFormat tile_format(TensorType type) {
  switch (type) {
    case TensorType::f32:
      return TileFormat::f32;
    case TensorType::f16:
      return TileFormat::f16;
    case TensorType::bf16:
      return TileFormat::bf16;
    case TensorType::q4_0:
      return TileFormat::q4_0;
    case TensorType::q4_1:
      return TileFormat::q4_1;
    case TensorType::q5_0:
      return TileFormat::q5_0;
    case TensorType::q5_1:
      return TileFormat::q5_1;
    case TensorType::q8_0:
      return TileFormat::q8_0;
    case TensorType::q2_k:
      return TileFormat::q2_k;
    case TensorType::q3_k:
      return TileFormat::q3_k;
    case TensorType::q4_k:
      return TileFormat::q4_k;
    case TensorType::q5_k:
      return TileFormat::q5_k;
    case TensorType::q6_k:
      return TileFormat::q6_k;
  }
  check_failed("tile_format: a TensorType outside its enumerators", __FILE__, __LINE__);
}

// Packs one row of `part`.
template <typename Traits>
void pack_row(const WeightPart& part, const std::byte* row, size_t lane, std::byte* tile) {
  constexpr int32_t kPerBlock = Traits::kSuper ? Traits::kUnit : 1;
  const auto block_bytes = static_cast<size_t>(traits_of(part.type).block_bytes);
  const auto* block = reinterpret_cast<const uint8_t*>(row);
  for (int32_t b = 0; b < part.cols / kBlock; b += kPerBlock, block += block_bytes) {
    for (int32_t g = 0; g < kPerBlock; ++g) {
      WeightBlock values;
      unpack_into<Traits::kFormat>(block, static_cast<size_t>(g), values);
      put_block<Traits>(tile, b + g, lane, values);
    }
  }
}

// Packs rows [first, first + count) of `part`, count <= 16, into a zeroed tile.
void pack_tile(const WeightPart& part, int32_t first, int32_t count, std::byte* tile) {
  const size_t stride = row_bytes(part.type, part.cols);
  with_traits(tile_format(part.type), [&]<typename Traits>(Traits) {
    for (int32_t lane = 0; lane < count; ++lane) {
      const std::byte* row = part.bytes.data() + static_cast<size_t>(first + lane) * stride;
      if constexpr (Traits::kQuantised) {
        pack_row<Traits>(part, row, static_cast<size_t>(lane), tile);
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
      return kernels::quantised_tile_bytes<Traits>(cols / kBlock);
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
      for (int32_t b = 0; b < cols_ / kBlock; ++b) {
        get_block<Traits>(tile, b, lane, out + static_cast<ptrdiff_t>(b) * kBlock);
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
