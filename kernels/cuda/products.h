// Products with few rows: the weight's bytes are read once, at the speed of memory. Many rows go to cuBLASLt; what it needs
// beforehand (bf16 rows) is made here too.
#pragma once
#include "kernels/cuda/rows.h"
#include "kernels/cuda/tiles.h"

namespace bessemer::cuda {

// Quantised weights, on tensor cores -----------------------------------------------------------------------------------
// Rows of one product with tiles; more cost a pass over the weight each.
constexpr int32_t kTileProductRows = 64;

// Activations as the tile product reads them: x = hi + lo, two bf16 (2^-17 of x is lost), in the order of the mma's
// operands, and their sums over 16 inputs for formats with a minimum.
struct SplitRows {
  uint4* parts =
      nullptr;  // [block of 32 inputs][n tile of 8 rows][hi, lo][lane]: half j = 0, then 1
  float* sums = nullptr;  // [block][n tile][row in it][half]
  int32_t rows = 0, cols = 0;

  __host__ __device__ int32_t n_tiles() const { return (rows + 7) / 8; }
};
// Bytes of parts and sums for `rows` rows of `cols` columns; of each alone, aligned to 256.
size_t split_parts_bytes(int32_t rows, int32_t cols);
size_t split_sums_bytes(int32_t rows, int32_t cols);

// x.rows <= kTileProductRows, x.cols % 32 == 0; `to` has room for them.
void split_rows(const SplitRows& to, const ConstRows& x, cudaStream_t stream);
// out = x w^T + bias; bias: w.rows values or null. Sums: mma over 16 or 32 inputs in f32, times the scale, in eight chains
// over K that are joined in turn. A row's bits do not depend on the rows beside it.
void tile_product(Rows out, const SplitRows& x, const Tiles& w, const float* bias,
                  cudaStream_t stream);

// Float weights ---------------------------------------------------------------------------------------------------------
// Rows that are computed side by side; more cost a pass over the weight each.
constexpr int32_t kFloatProductRows = 8;

// A matrix of f32, f16 or bf16; rows begin at multiples of `stride` elements, a multiple of 16 bytes; what lies between cols
// and stride is 0.
struct FloatWeight {
  TensorType type = TensorType::f32;
  const void* data = nullptr;
  int32_t rows = 0, cols = 0, stride = 0;
};

// out = x w^T + bias in f32: a warp an output, 32 chains joined by halves. A row's bits do not depend on the rows beside it.
void float_product(Rows out, const ConstRows& x, const FloatWeight& w, const float* bias,
                   cudaStream_t stream);
// out = x w^T + bias for a bf16 weight of whole tiles of inputs (bf16_product_fits) and at most kBf16ProductRows rows, on
// tensor cores: sums in f32, in eight chains over K that are joined in turn. A row's bits do not depend on the rows beside it.
constexpr int32_t kBf16ProductRows = 16;
bool bf16_product_fits(const FloatWeight& w);
void bf16_product(Rows out, const SplitRows& x, const FloatWeight& w, const float* bias,
                  cudaStream_t stream);
// out[r] = w[ids[r] - first_row] for ids in [first_row, first_row + w.rows); other rows stay.
void embed_floats(Rows out, const int32_t* ids, const FloatWeight& w, int32_t first_row,
                  cudaStream_t stream);

// For cuBLASLt ------------------------------------------------------------------------------------------------------------
// out[r][c] = bf16(x[r][c]), to nearest even; columns up to `stride` are 0.
void rows_to_bf16(uint16_t* out, int32_t stride, const ConstRows& x, cudaStream_t stream);
// out[r][c] = bf16(w[first_row + r][c]) likewise.
void floats_to_bf16(uint16_t* out, int32_t stride, const FloatWeight& w, int32_t first_row,
                    int32_t rows, cudaStream_t stream);
// inout[r][c] += bias[c]
void add_bias(Rows inout, const float* bias, cudaStream_t stream);

}  // namespace bessemer::cuda
