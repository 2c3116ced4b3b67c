// How quantised weights lie in device memory: in tiles of 16 output rows x 64 inputs, each the operand of four
// mma.m16n8k16, so that every lane of a warp reads what it multiplies with one load of 16 bytes.
//
// Lane l = 4 g + t holds rows g and g + 8 of a tile; of each block of 32 inputs the values 16 j + 4 t + i (half j = 0, 1;
// i = 0..3). Which input an mma calls k is free as long as both operands agree.
// Quants are unsigned; planes hold their bits. With p: the block's parity in the tile, hi: row g or g + 8,
// s = 2 j + i / 2, e = i % 2:
//   nibbles  4 bits   [tile][lane] 4 words (p, hi): nibble s + 4 e
//   twos     2 bits   [tile][lane] 2 words (p):     bits 16 e + 2 (4 hi + s)
//   ones     1 bit    [tile][lane] 1 word:          bit  16 e + 8 p + 4 hi + s
//   bytes    8 bits   [tile][p][lane] 4 words (hi, j): byte i / 2 + 2 e
// so that a shift and a mask give two neighbours in the halves of a word.
// Scales of each block and row: scales, mins [tile][g][p][hi] as 16 bits; supers [tile row][K / 256][g][hi] f16 pairs.
// Rows and blocks that fill up a tile have scale 0.
#pragma once
#include "common/tensor_type.h"
#include "kernels/cuda/rows.h"

namespace bessemer::cuda {

constexpr int32_t kTileRows = 16, kTileInputs = 64;

// One quantised matrix. Pointers of planes that the format lacks are null.
struct Tiles {
  TensorType type = TensorType::q4_0;
  int32_t rows = 0, cols = 0;
  uint32_t *nibbles = nullptr, *twos = nullptr, *ones = nullptr, *bytes = nullptr;
  uint16_t *scales = nullptr, *mins = nullptr;
  uint32_t* supers = nullptr;

  __host__ __device__ int32_t row_tiles() const { return (rows + kTileRows - 1) / kTileRows; }
  __host__ __device__ int32_t k_tiles() const { return (cols + kTileInputs - 1) / kTileInputs; }
  __host__ __device__ int32_t super_blocks() const { return cols / 256; }
};

// True: a format of blocks, which has a tile form; false: f32, f16, bf16.
bool has_tiles(TensorType type);
// Bytes of all planes of a rows x cols matrix, each plane aligned to 256 bytes.
size_t tiles_bytes(TensorType type, int32_t rows, int32_t cols);
// Lays the planes out in `memory` (tiles_bytes() of it, aligned to 256).
Tiles place_tiles(TensorType type, int32_t rows, int32_t cols, void* memory);

// `raw`: rows x row_bytes(type, cols) as in the file, in device memory.
void repack(const Tiles& to, const uint8_t* raw, cudaStream_t stream);
// out[r][c] = bf16(w[first_row + r][c]), to nearest even, for `rows` rows; `stride` elements, even. Columns behind `cols`
// up to the tile's end are written as 0 where stride has room for them.
void tiles_to_bf16(uint16_t* out, int32_t stride, const Tiles& w, int32_t first_row, int32_t rows,
                   cudaStream_t stream);
// out[r] = w[ids[r] - first_row] for ids in [first_row, first_row + w.rows), bit for bit what the public reference gives;
// other rows stay.
void embed_tiles(Rows out, const int32_t* ids, const Tiles& w, int32_t first_row,
                 cudaStream_t stream);

}  // namespace bessemer::cuda
