// The CPU kernels: pointers and sizes, one table of functions per instruction set, all with equal
// results bit for bit.
//
// Every table is made from the same sources (generic/) over a vector of 16 lanes that each
// instruction set implements (scalar/vec.h, avx2/vec.h, avx512/vec.h): so float operations happen
// in the same order everywhere, and only the integer products, which are exact, differ. Files under
// avx2/, avx512/ and amx/ are compiled for that instruction set; whatever they define lies in an unnamed
// namespace, and they call nothing from the standard library, lest the linker picks their copy of a
// shared inline function for a machine that cannot run it (tests/backend checks the object files).
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/cpu/layout.h"

namespace bessemer::kernels {

// out[r][o] = sum over inputs of x[r] * tiles[o] (+ bias[o])
struct MatmulArgs {
  const std::byte* tiles;  // ceil(outputs / 16) tiles
  size_t tile_bytes;
  int32_t outputs;
  int32_t depth;       // inputs; a multiple of 32 for quantised tiles
  const std::byte* x;  // quantised tiles: activation rows (layout.h); float tiles: f32
  size_t x_stride_bytes;
  int32_t rows;
  float* out;
  ptrdiff_t out_stride;  // floats
  const float* bias;     // `outputs` values, or nullptr
  std::byte* scratch;    // this thread's: Kernels::matmul_scratch(depth) bytes, 64-byte aligned
};
// Rows of one call, at most: what a task takes (worker/backend/cpu/products.cpp).
constexpr int32_t kMatmulRows = 64;

// i8: rows with a scale (KvRow); the others have none.
enum class KvType : uint8_t { f32, f16, bf16, i8 };
enum class Gate : uint8_t { silu, gelu, gelu_tanh, relu };

// Positions side by side in a block of keys; block_tokens is a multiple.
constexpr int32_t kKvLanes = 16;
// Positions whose softmax is taken together, at absolute borders.
constexpr int32_t kKvChunk = 128;
// Of one head; bounds the scratch. The widest heads in use have 576.
constexpr int32_t kMaxValueWidth = 1024;

// Queries of one micro-kernel: loaded keys and values serve all of them, and 12 sums fit into 16
// registers of 8 lanes.
constexpr int32_t kQueriesAtOnce = 6;
constexpr int32_t kQueriesPerCall = 6 * kQueriesAtOnce;

// A query's result of one chunk: its largest score, the sum of its weights, then at kPartialHead
// the weighted values, in whole vectors.
constexpr int32_t kPartialHead = 16;
constexpr ptrdiff_t attention_partial_floats(int32_t value_width) {
  return kPartialHead + (value_width + 15) / 16 * 16;
}

// Floats that attend() and attend_chunks() need as scratch: of each query of a micro-kernel the
// scores and the result of one chunk.
constexpr size_t kAttentionScratch =
    size_t{kQueriesAtOnce} * (kKvChunk + attention_partial_floats(kMaxValueWidth));

// A run of query heads that read the same KV head of one sequence: query i is head i % heads of
// row i / heads.
struct AttentionArgs {
  const float* q;      // row 0, first of the heads; key_width values each
  ptrdiff_t q_stride;  // floats between rows
  float* out;          // row 0, first of the heads; value_width values each
  ptrdiff_t out_stride;
  const int32_t* positions;  // per row
  int32_t heads;
  int32_t first_query, queries;  // queries <= kQueriesPerCall
  int32_t kv_len;
  bool causal;
  // Of this KV head in block 0: [key_width][block_tokens] and [block_tokens][value_width]; with i8
  // the scales of each follow, [block_tokens] of f32.
  const std::byte *keys, *values;
  size_t block_bytes;    // from block to block
  const int32_t* table;  // block ids of the sequence, in order
  int32_t block_tokens, key_width, value_width;
  KvType type;
  float scale;
  float* scratch;  // kAttentionScratch floats
};

// Chunks [first, first + count) of a run of query heads, and where their results lie: of each chunk
// `queries` results, attention_partial_floats(value_width) floats each.
struct ChunkRun {
  int32_t first, count;
  float* partials;
};
// What a query has of all chunks that were joined: the largest score and the sum of its weights.
// The weighted values are in its output.
struct SoFar {
  float largest, total;
};

// A token's keys or values of one head in the pool.
struct KvRow {
  std::byte* values;
  ptrdiff_t stride;  // elements from one to the next
  float* scale;      // of i8 (worker/backend/kv.h has the rule), else nullptr
};

// Bytes of a quantised row of activations (layout.h) with `depth` inputs.
constexpr size_t activation_row_bytes(int32_t depth) {
  const auto values = static_cast<size_t>(depth), blocks = values / kBlock;
  return values + blocks * sizeof(ActivationBlock) + (blocks + 1) * sizeof(Outlier);
}

struct Kernels {
  const char* name;  // "scalar", "avx2", "avx512", "amx"
  // row: activation_row_bytes(count) bytes, 4-byte aligned; count is a multiple of 32.
  void (*quantize)(const float* x, int32_t count, std::byte* row);
  void (*matmul[kTileFormats])(const MatmulArgs&);  // by TileFormat
  size_t (*matmul_scratch)(int32_t depth);          // bytes, of each thread
  // All chunks, one after the other; then the output is done.
  void (*attend)(const AttentionArgs&);
  // The same in pieces: first the results of chunks, in any order and on any thread, then, oldest
  // first, these joined. so_far: a value for each query, kept from call to call. The call that
  // joins the last chunk that a query sees ends the output; it needs no scratch.
  void (*attend_chunks)(const AttentionArgs&, const ChunkRun&);
  void (*join_chunks)(const AttentionArgs&, const ChunkRun&, SoFar* so_far);
  // `out` may be `x`.
  void (*rms_norm)(float* out, const float* x, const float* weight, int32_t count, float eps);
  // residual += x, then the norm of that.
  void (*add_rms_norm)(float* out, float* residual, const float* x, const float* weight,
                       int32_t count, float eps);
  void (*add)(float* inout, const float* x, int32_t count);
  // out = gate(g) * up; `out` may be `g` or `up`.
  void (*gated)(float* out, const float* g, const float* up, int32_t count, Gate gate);
  // Rotates `heads` heads of `head_dim` values in place by `pairs` angles.
  void (*rope)(float* inout, int32_t heads, int32_t head_dim, int32_t pairs, bool interleaved,
               const float* cosines, const float* sines);
  // The row's value i is x[i], rounded to `type`.
  void (*store_kv)(const KvRow& row, const float* x, int32_t count, KvType type);
};

// nullptr: no such instruction set, or this machine lacks it. "scalar" is always there.
const Kernels* find_kernels(std::string_view name);
// The fastest that this machine can run.
const Kernels& best_kernels();
// What `name` needs of the machine, for error messages; empty: no such instruction set.
std::string_view needed_features(std::string_view name);

// The tables themselves; call them on a machine that can run them.
const Kernels& scalar_kernels();
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();
const Kernels& amx_kernels();

}  // namespace bessemer::kernels
