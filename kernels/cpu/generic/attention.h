// Attention over paged KV, the same for every instruction set; include after its vec.h.
//
// Arithmetic of one query (E5: it depends on the query, its position and the sequence's KV alone)
//   Chunk c holds positions [128 c, 128 c + 128). Over the visible positions j of a chunk:
//     s_j = (q . k_j) * scale   the product is one fma chain in order of the key's dimensions
//     m   = max s_j
//     p_j = exp(s_j - m)
//     l   = sum of p_j          in 16 lanes, lane j mod 16, which are joined as sum() does it
//     o   = sum of p_j v_j      one fma chain in order of j
//   Chunks are joined oldest first; M, L, O are the result so far:
//     N = max(M, m), a = exp(M - N), b = exp(m - N)
//     L = fma(l, b, L a), O = fma(o, b, O a), M = N
//   and in the end out = O / L.
// A chunk's m, l and o need no other chunk: they may be computed apart and joined later with the
// same result.
#pragma once
#include "kernels/cpu/generic/math.h"
#include "kernels/cpu/kernels.h"

namespace bessemer::kernels {
namespace {

// Queries of one micro-kernel: loaded keys and values serve all of them.
constexpr int kQueriesAtOnce = 4;

struct QueryRun {
  const AttentionArgs& args;
  float *scores, *partial;                // per query: [kKvChunk], [kMaxValueWidth]
  float largest_so_far[kQueriesPerCall];  // M
  float total_so_far[kQueriesPerCall];    // L; O lies in the output

  const float* q(int32_t i) const {
    const int32_t at = args.first_query + i;
    return args.q + at / args.heads * args.q_stride +
           static_cast<ptrdiff_t>(at % args.heads) * args.key_width;
  }
  float* out(int32_t i) const {
    const int32_t at = args.first_query + i;
    return args.out + at / args.heads * args.out_stride +
           static_cast<ptrdiff_t>(at % args.heads) * args.value_width;
  }
  // Positions that query i may see.
  int32_t visible(int32_t i) const {
    const int32_t position = args.positions[(args.first_query + i) / args.heads];
    return args.causal && position + 1 < args.kv_len ? position + 1 : args.kv_len;
  }
  // Of those, how many lie in the chunk that begins at `base`.
  int32_t in_chunk(int32_t i, int32_t base) const {
    const int32_t count = visible(i) - base;
    return count < 0 ? 0 : count < kKvChunk ? count : kKvChunk;
  }
  float* scores_of(int32_t i) const { return scores + i * kKvChunk; }
  float* partial_of(int32_t i) const { return partial + i * kMaxValueWidth; }
};

// Where the 16 positions from `position` on lie.
template <typename T>
inline const T* keys_at(const AttentionArgs& args, int32_t position) {
  const auto block = static_cast<size_t>(args.table[position / args.block_tokens]);
  return reinterpret_cast<const T*>(args.keys + block * args.key_block_bytes) +
         position % args.block_tokens;
}
template <typename T>
inline const T* values_at(const AttentionArgs& args, int32_t position) {
  const auto block = static_cast<size_t>(args.table[position / args.block_tokens]);
  return reinterpret_cast<const T*>(args.values + block * args.value_block_bytes) +
         static_cast<ptrdiff_t>(position % args.block_tokens) * args.value_width;
}

// Scores of Q queries from `first` on with positions [base, base + count), rounded up to 16.
template <typename T, int Q>
void score_chunk(const QueryRun& run, int32_t first, int32_t base, int32_t count) {
  const AttentionArgs& args = run.args;
  const float* q[Q];
  for (int i = 0; i < Q; ++i) q[i] = run.q(first + i);
  const F scale = set(args.scale);
  for (int32_t at = 0; at < count; at += kKvLanes) {
    const T* keys = keys_at<T>(args, base + at);
    F dots[Q];
    for (int i = 0; i < Q; ++i) dots[i] = zero();
    for (int32_t d = 0; d < args.key_width; ++d) {
      const F column = load(keys + static_cast<ptrdiff_t>(d) * args.block_tokens);
      for (int i = 0; i < Q; ++i) dots[i] = fma(column, set(q[i][d]), dots[i]);
    }
    for (int i = 0; i < Q; ++i) store(run.scores_of(first + i) + at, mul(dots[i], scale));
  }
}

struct ChunkSoftmax {
  float largest, total;  // m, l
};

// Turns the first `count` > 0 scores into weights.
ChunkSoftmax soften(float* scores, int32_t count) {
  const F minus_infinity = set(-__builtin_inff());
  F top = minus_infinity;
  for (int32_t at = 0; at < count; at += kKvLanes) {
    top =
        max(top, first_lanes(count - at < 16 ? count - at : 16, load(scores + at), minus_infinity));
  }
  const float m = largest(top);
  F total = zero();
  for (int32_t at = 0; at < count; at += kKvLanes) {
    const F weights = exponential(sub(load(scores + at), set(m)));
    const F visible = first_lanes(count - at < 16 ? count - at : 16, weights, zero());
    total = add(total, visible);
    store(scores + at, visible);
  }
  return {m, sum(total)};
}

// partial += weights x values over positions [base + begin, base + end), for Q queries and V * 16
// value columns.
template <typename T, int Q, int V>
void weigh_columns(const QueryRun& run, int32_t first, int32_t base, int32_t begin, int32_t end,
                   int32_t column) {
  const AttentionArgs& args = run.args;
  F acc[Q][V];
  for (int i = 0; i < Q; ++i) {
    for (int v = 0; v < V; ++v) acc[i][v] = load(run.partial_of(first + i) + column + 16 * v);
  }
  for (int32_t at = begin; at < end;) {
    const int32_t stop =
        at / kKvLanes * kKvLanes + kKvLanes < end ? at / kKvLanes * kKvLanes + kKvLanes : end;
    const T* values = values_at<T>(args, base + at) + column;
    for (; at < stop; ++at, values += args.value_width) {
      for (int v = 0; v < V; ++v) {
        const F value = load(values + 16 * v);
        for (int i = 0; i < Q; ++i) {
          acc[i][v] = fma(set(run.scores_of(first + i)[at]), value, acc[i][v]);
        }
      }
    }
  }
  for (int i = 0; i < Q; ++i) {
    for (int v = 0; v < V; ++v) store(run.partial_of(first + i) + column + 16 * v, acc[i][v]);
  }
}

template <typename T, int Q>
void weigh(const QueryRun& run, int32_t first, int32_t base, int32_t begin, int32_t end) {
  constexpr int V = kChains / Q > 0 ? kChains / Q : 1;
  if (begin >= end) return;
  int32_t column = 0;
  for (; column + 16 * V <= run.args.value_width; column += 16 * V) {
    weigh_columns<T, Q, V>(run, first, base, begin, end, column);
  }
  for (; column < run.args.value_width; column += 16) {
    weigh_columns<T, Q, 1>(run, first, base, begin, end, column);
  }
}

// Joins the chunk's result of query i to what it has so far.
void join_chunk(QueryRun& run, int32_t i, ChunkSoftmax chunk) {
  const float m = run.largest_so_far[i];
  const float n = m > chunk.largest ? m : chunk.largest;
  // Two lanes are in use; both scales come from the one exponential there is.
  float shifts[16] = {m - n, chunk.largest - n};
  store(shifts, exponential(load(shifts)));
  const float old_scale = shifts[0], new_scale = shifts[1];
  run.largest_so_far[i] = n;
  run.total_so_far[i] = __builtin_fmaf(chunk.total, new_scale, run.total_so_far[i] * old_scale);
  float* out = run.out(i);
  const float* partial = run.partial_of(i);
  for (int32_t d = 0; d < run.args.value_width; d += 16) {
    const int32_t lanes = run.args.value_width - d;
    const F so_far = mul(load_lanes(out + d, lanes), set(old_scale));
    store_lanes(out + d, fma(load(partial + d), set(new_scale), so_far), lanes);
  }
}

// One chunk for queries [first, first + Q).
template <typename T, int Q>
void attend_chunk(QueryRun& run, int32_t first, int32_t base) {
  int32_t counts[Q], most = 0, fewest = kKvChunk;
  for (int i = 0; i < Q; ++i) {
    counts[i] = run.in_chunk(first + i, base);
    most = counts[i] > most ? counts[i] : most;
    fewest = counts[i] < fewest ? counts[i] : fewest;
  }
  if (most == 0) return;
  score_chunk<T, Q>(run, first, base, most);
  ChunkSoftmax chunks[Q];
  for (int i = 0; i < Q; ++i) {
    if (counts[i] > 0) chunks[i] = soften(run.scores_of(first + i), counts[i]);
    for (int32_t d = 0; d < run.args.value_width; d += 16)
      store(run.partial_of(first + i) + d, zero());
  }
  // Together as far as all can see; beyond that a value must not touch who may not see it, not even
  // times zero (it may be infinite).
  weigh<T, Q>(run, first, base, 0, fewest);
  for (int i = 0; i < Q; ++i) {
    weigh<T, 1>(run, first + i, base, fewest, counts[i]);
    if (counts[i] > 0) join_chunk(run, first + i, chunks[i]);
  }
}

template <typename T>
void attend_as(const AttentionArgs& args) {
  QueryRun run{args, args.scratch, args.scratch + kQueriesPerCall * kKvChunk, {}, {}};
  int32_t most = 0;
  for (int32_t i = 0; i < args.queries; ++i) {
    run.largest_so_far[i] = -__builtin_inff();
    run.total_so_far[i] = 0.0f;
    for (int32_t d = 0; d < args.value_width; ++d) run.out(i)[d] = 0.0f;
    most = run.visible(i) > most ? run.visible(i) : most;
  }
  for (int32_t base = 0; base < most; base += kKvChunk) {
    int32_t i = 0;
    for (; i + kQueriesAtOnce <= args.queries; i += kQueriesAtOnce) {
      attend_chunk<T, kQueriesAtOnce>(run, i, base);
    }
    switch (args.queries - i) {
      case 3:
        attend_chunk<T, 3>(run, i, base);
        break;
      case 2:
        attend_chunk<T, 2>(run, i, base);
        break;
      case 1:
        attend_chunk<T, 1>(run, i, base);
        break;
      default:
        break;
    }
  }
  for (int32_t i = 0; i < args.queries; ++i) {
    if (run.visible(i) <= 0) continue;
    for (int32_t d = 0; d < args.value_width; ++d) run.out(i)[d] /= run.total_so_far[i];
  }
}

void attend(const AttentionArgs& args) {
  switch (args.type) {
    case KvType::f32:
      return attend_as<float>(args);
    case KvType::f16:
      return attend_as<Half>(args);
    case KvType::bf16:
      return attend_as<Bfloat>(args);
  }
}

}  // namespace
}  // namespace bessemer::kernels
