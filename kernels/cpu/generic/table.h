// One instruction set's functions; include last.
#pragma once
#include "kernels/cpu/kernels.h"

namespace bessemer::kernels {
namespace {

constexpr Kernels make_table(const char* name) {
  return {
      .name = name,
      .quantize = quantize,
      .matmul = {matmul<TileFormat::q4_0>, matmul<TileFormat::q4_1>, matmul<TileFormat::q5_0>,
                 matmul<TileFormat::q5_1>, matmul<TileFormat::q8_0>, matmul<TileFormat::q2_k>,
                 matmul<TileFormat::q3_k>, matmul<TileFormat::q4_k>, matmul<TileFormat::q5_k>,
                 matmul<TileFormat::q6_k>, matmul<TileFormat::f32>, matmul<TileFormat::f16>,
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
