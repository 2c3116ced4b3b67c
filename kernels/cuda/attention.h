// Paged keys and values: storing, copying blocks, attention.
#pragma once
#include "kernels/cuda/pointwise.h"

namespace bessemer::cuda {

enum class KvType : uint8_t { f32, f16, bf16, i8 };

// Keys or values of one layer: [block][head][token][width]; of int8 rows the scales [block][head][token] beside them.
struct KvRows {
  void* values = nullptr;
  float* scales = nullptr;  // int8 only
  int32_t width = 0;
};
struct KvLayerView {
  KvType type = KvType::f16;
  int32_t block_tokens = 16, heads = 0;
  KvRows keys, values;
};
// Widest row of values that attention keeps in registers; keys may be wider.
constexpr int32_t kMaxValueWidth = 256;

// Row r of k and v goes to slot store_at[r] = block * block_tokens + offset; negative: nowhere.
void store_kv(const KvLayerView& kv, const ConstRows& k, const ConstRows& v,
              const int32_t* store_at, cudaStream_t stream);
// Rotates q and k in place, then stores: the bits of rope() and store_kv().
void rope_store_kv(Rows q, Rows k, const ConstRows& v, const KvLayerView& kv,
                   const int32_t* store_at, const int32_t* positions, const Rotation& rotation,
                   cudaStream_t stream);

// A part of the pool that a move copies: `bytes` of each block, block after block.
struct KvPlane {
  uint8_t* data = nullptr;
  int64_t bytes = 0;  // a multiple of 4, or of 1 where `data` is not aligned
};
// Copies block `from` to block `to` of every plane; `planes` in device memory.
void move_kv(const KvPlane* planes, int32_t count, int32_t from, int32_t to, cudaStream_t stream);

// What varies between steps, in device memory.
struct AttentionBatch {
  const int32_t* positions = nullptr;    // per row
  const int32_t* query_start = nullptr;  // sequences + 1
  const int32_t* table = nullptr;        // sequences x table_stride
  const int32_t* kv_len = nullptr;       // per sequence
  int32_t rows = 0, sequences = 0, table_stride = 0, longest_query = 0, longest_kv = 0;
};
struct AttentionShape {
  int32_t query_heads = 0, kv_heads = 0;
  float scale = 0;
  bool causal = true;
};

// Results of the runs into which long contexts are split: [row][query head][split] maximum, sum and value_width values.
struct AttentionPartials {
  float* data = nullptr;
  size_t floats = 0;
};

// out[row] = softmax(q K^T scale) V over what the row sees, 0 where it sees nothing; padding rows stay as they are.
// Everything in f32. `multiprocessors` of the device decide how far contexts are split.
void attend(Rows out, const ConstRows& q, const KvLayerView& kv, const AttentionBatch& batch,
            const AttentionShape& shape, const AttentionPartials& partials, int32_t multiprocessors,
            cudaStream_t stream);

}  // namespace bessemer::cuda
