// AVX-512's table with products of many rows by AMX's int8 tiles. The order of the includes
// matters: the generic sources are written over the lanes of vec.h.
// clang-format off
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/avx512/vec.h"
#include "kernels/cpu/avx512/dots.h"
#include "kernels/cpu/generic/math.h"
#include "kernels/cpu/generic/elementwise.h"
#include "kernels/cpu/generic/attention.h"
#include "kernels/cpu/generic/matmul.h"
#include "kernels/cpu/generic/table.h"
#include "kernels/cpu/amx/matmul.h"
// clang-format on

namespace bessemer::kernels {
namespace {

// Formats with a scale for each 16 inputs would use a quarter of a tile's depth: they stay with
// AVX-512.
template <TileFormat kFormat>
constexpr void use_tiles(Kernels& table) {
  table.matmul[static_cast<size_t>(kFormat)] = matmul_by_tiles<kFormat>;
}

constexpr Kernels make_tile_table() {
  Kernels table = make_table("amx");
  table.matmul_scratch = tile_scratch;
  use_tiles<TileFormat::q4_0>(table);
  use_tiles<TileFormat::q4_1>(table);
  use_tiles<TileFormat::q5_0>(table);
  use_tiles<TileFormat::q5_1>(table);
  use_tiles<TileFormat::q8_0>(table);
  use_tiles<TileFormat::q4_k>(table);
  use_tiles<TileFormat::q5_k>(table);
  return table;
}

}  // namespace

const Kernels& amx_kernels() {
  static constexpr Kernels kTable = make_tile_table();
  return kTable;
}

}  // namespace bessemer::kernels
