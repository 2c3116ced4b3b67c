// One instruction set's functions; include last.
#pragma once
#include "kernels/cpu/kernels.h"

namespace bessemer::kernels {
namespace {

constexpr Kernels make_table(const char* name) {
  return {
      .name = name,
      .quantize = quantize,
      .matmul = {matmul<TileFormat::u4_offset8>, matmul<TileFormat::u4_min>,
                 matmul<TileFormat::u4_min_f32>, matmul<TileFormat::i8>, matmul<TileFormat::i8_min>,
                 matmul<TileFormat::i8_min_f32>, matmul<TileFormat::i8_half>,
                 matmul<TileFormat::i8_half_min>, matmul<TileFormat::f32>, matmul<TileFormat::f16>,
                 matmul<TileFormat::bf16>},
      .matmul_scratch = [](int32_t) { return size_t{0}; },
      .attend = attend,
      .attend_chunks = attend_chunks,
      .join_chunks = join_chunks,
      .rms_norm = rms_norm,
      .add_rms_norm = add_rms_norm,
      .add = add_rows,
      .gated = gated,
      .rope = rope,
      .store_kv = store_kv,
  };
}

}  // namespace
}  // namespace bessemer::kernels
