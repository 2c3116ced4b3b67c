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
//   Of int8 rows q and scale r: s_j = ((q . k_j) * r) * scale over the integers k_j, and the factor
//   of the integers v_j is p_j r; l is the sum of p_j as ever.
// A chunk's m, l and o need no other chunk: attend() joins each as soon as it is there, while
// attend_chunks() leaves them for join_chunks(), with the same result.
#pragma once
#include "kernels/cpu/generic/math.h"
#include "kernels/cpu/kernels.h"

namespace bessemer::kernels {
namespace {

// What a query has of a chunk, in kernels.h's order: m, l, and from kPartialHead on o.
struct Partial {
  float* at;
  float& largest() const { return at[0]; }
  float& total() const { return at[1]; }
  float* values() const { return at + kPartialHead; }
};

struct QueryRun {
  const AttentionArgs& args;
  ptrdiff_t partial_floats;
  int32_t most_visible = 0;
  // Of each query: where its values are and belong, and how many positions it may see.
  const float* q[kQueriesPerCall];
  float* out[kQueriesPerCall];
  int32_t visible[kQueriesPerCall];

  explicit QueryRun(const AttentionArgs& a)
      : args(a), partial_floats(attention_partial_floats(a.value_width)) {
    for (int32_t i = 0; i < args.queries; ++i) {
      const int32_t row = (args.first_query + i) / args.heads;
      const ptrdiff_t head = (args.first_query + i) % args.heads;
      const int32_t position = args.positions[row];
      q[i] = args.q + row * args.q_stride + head * args.key_width;
      out[i] = args.out + row * args.out_stride + head * args.value_width;
      visible[i] = args.causal && position + 1 < args.kv_len ? position + 1 : args.kv_len;
      most_visible = visible[i] > most_visible ? visible[i] : most_visible;
    }
  }
  // How many of the positions that query i sees lie in the chunk that begins at `base`.
  int32_t in_chunk(int32_t i, int32_t base) const {
    const int32_t count = visible[i] - base;
    return count < 0 ? 0 : count < kKvChunk ? count : kKvChunk;
  }
};

// Where the 16 positions from `position` on lie.
template <typename T>
inline const T* keys_at(const AttentionArgs& args, int32_t position) {
  const auto block = static_cast<size_t>(args.table[position / args.block_tokens]);
  return reinterpret_cast<const T*>(args.keys + block * args.block_bytes) +
         position % args.block_tokens;
}
template <typename T>
inline const T* values_at(const AttentionArgs& args, int32_t position) {
  const auto block = static_cast<size_t>(args.table[position / args.block_tokens]);
  return reinterpret_cast<const T*>(args.values + block * args.block_bytes) +
         static_cast<ptrdiff_t>(position % args.block_tokens) * args.value_width;
}

// int8 rows have scales; 16 positions' from `position` on.
template <typename T>
constexpr bool kScaled = false;
template <>
constexpr bool kScaled<int8_t> = true;
inline F scales_at(const AttentionArgs& args, const std::byte* rows, int32_t width,
                   int32_t position) {
  const auto block = static_cast<size_t>(args.table[position / args.block_tokens]);
  const std::byte* end = rows + block * args.block_bytes + ptrdiff_t{width} * args.block_tokens;
  return load(reinterpret_cast<const float*>(end) + position % args.block_tokens);
}

// As many sums side by side as hide the latency of fma, whatever the number of queries.
constexpr int beside(int queries) {
  return (kChains + queries - 1) / queries;
}
// A value that the compiler takes for another: what is read through it is read again instead of
// being kept in a register. With AVX2 12 sums, a key or value and a factor fill all 16.
template <typename V>
inline V afresh(V value) {
  asm volatile("" : "+r"(value));
  return value;
}

// Scores of Q queries from `first` on with G groups of 16 positions. Meanwhile the next G groups'
// keys are fetched: a block ends long before the processor would see where the table goes on.
template <typename T, int Q, int G>
void score_groups(const QueryRun& run, int32_t first, int32_t position, float* scores) {
  const AttentionArgs& args = run.args;
  const int32_t width = args.key_width;
  const ptrdiff_t step = args.block_tokens;
  const float* q[Q];
  const T *keys[G], *ahead[G];
  F dots[Q][G];
  for (int i = 0; i < Q; ++i) {
    q[i] = run.q[first + i];
    for (int g = 0; g < G; ++g) dots[i][g] = zero();
  }
  for (int g = 0; g < G; ++g) {
    const int32_t at = position + g * kKvLanes, later = at + G * kKvLanes;
    keys[g] = keys_at<T>(args, at);
    ahead[g] = keys_at<T>(args, later < args.kv_len ? later : at);
  }
#pragma clang loop unroll(disable)
  for (int32_t d = 0; d < width; ++d) {
    for (int g = 0; g < G; ++g) {
      __builtin_prefetch(ahead[g]);
      const F column = load(keys[g]);
      ahead[g] += step;
      keys[g] += step;
      const int32_t again = G > 1 ? afresh(d) : d;
      for (int i = 0; i < Q; ++i) dots[i][g] = fma(column, set(q[i][again]), dots[i][g]);
    }
  }
  const F scale = set(args.scale);
  for (int g = 0; g < G; ++g) {
    for (int i = 0; i < Q; ++i) {
      if constexpr (kScaled<T>) {
        dots[i][g] = mul(dots[i][g], scales_at(args, args.keys, width, position + g * kKvLanes));
      }
      store(scores + i * kKvChunk + g * kKvLanes, mul(dots[i][g], scale));
    }
  }
}

// Scores with positions [base, base + count), rounded up to 16.
template <typename T, int Q>
void score_chunk(const QueryRun& run, int32_t first, int32_t base, int32_t count, float* scores) {
  constexpr int G = beside(Q);
  int32_t at = 0;
  for (; at + (G - 1) * kKvLanes < count; at += G * kKvLanes) {
    score_groups<T, Q, G>(run, first, base + at, scores + at);
  }
  for (; at < count; at += kKvLanes) {
    score_groups<T, Q, 1>(run, first, base + at, scores + at);
  }
}

// Turns the first `count` > 0 scores into weights; leaves m and l in the result.
void soften(float* scores, int32_t count, Partial result) {
  const int32_t whole = count / kKvLanes * kKvLanes, rest = count - whole;
  const F minus_infinity = set(-__builtin_inff());
  F top = minus_infinity;
  for (int32_t at = 0; at < whole; at += kKvLanes) top = max(top, load(scores + at));
  if (rest > 0) top = max(top, first_lanes(rest, load(scores + whole), minus_infinity));
  const float m = largest(top);
  F total = zero();
  for (int32_t at = 0; at < whole; at += kKvLanes) {
    const F weights = exponential(sub(load(scores + at), set(m)));
    total = add(total, weights);
    store(scores + at, weights);
  }
  if (rest > 0) {
    const F weights = exponential(sub(load(scores + whole), set(m)));
    total = add(total, first_lanes(rest, weights, zero()));
    store(scores + whole, weights);
  }
  result.largest() = m;
  result.total() = sum(total);
}

// Turns the weights of `count` positions from `base` on into those of integers.
void scale_weights(const AttentionArgs& args, float* weights, int32_t base, int32_t count) {
  for (int32_t at = 0; at < count; at += kKvLanes) {
    const F scales = scales_at(args, args.values, args.value_width, base + at);
    store(weights + at, mul(load(weights + at), scales));
  }
}

// acc += weights x values of `count` neighbouring positions.
template <typename T, int Q, int V>
inline void weigh_group(const float* weights, const T* values, const T* ahead, ptrdiff_t width,
                        int32_t count, F (&acc)[Q][V]) {
#pragma clang loop unroll(disable)
  for (int32_t j = 0; j < count; ++j, ++weights, values += width, ahead += width) {
    __builtin_prefetch(ahead);
    for (int v = 0; v < V; ++v) {
      const F value = load(values + 16 * v);
      const float* again = V > 1 ? afresh(weights) : weights;
      for (int i = 0; i < Q; ++i) acc[i][v] = fma(set(again[i * kKvChunk]), value, acc[i][v]);
    }
  }
}

// results += weights x values over positions [base + begin, base + end), for Q queries and V * 16
// value columns. Meanwhile the next 16 positions' values are fetched.
template <typename T, int Q, int V>
void weigh_columns(const AttentionArgs& args, const float* weights, const Partial* results,
                   int32_t base, int32_t begin, int32_t end, int32_t column) {
  F acc[Q][V];
  for (int i = 0; i < Q; ++i) {
    for (int v = 0; v < V; ++v) acc[i][v] = load(results[i].values() + column + 16 * v);
  }
  for (int32_t at = begin, stop; at < end; at = stop) {
    const int32_t border = at / kKvLanes * kKvLanes + kKvLanes, later = base + at + kKvLanes;
    stop = border < end ? border : end;
    weigh_group<T, Q, V>(weights + at, values_at<T>(args, base + at) + column,
                         values_at<T>(args, later < args.kv_len ? later : base + at) + column,
                         args.value_width, stop - at, acc);
  }
  for (int i = 0; i < Q; ++i) {
    for (int v = 0; v < V; ++v) store(results[i].values() + column + 16 * v, acc[i][v]);
  }
}

template <typename T, int Q>
void weigh(const AttentionArgs& args, const float* weights, const Partial* results, int32_t base,
           int32_t begin, int32_t end) {
  constexpr int V = beside(Q);
  if (begin >= end) return;
  int32_t column = 0;
  for (; column + 16 * V <= args.value_width; column += 16 * V) {
    weigh_columns<T, Q, V>(args, weights, results, base, begin, end, column);
  }
  for (; column < args.value_width; column += 16) {
    weigh_columns<T, Q, 1>(args, weights, results, base, begin, end, column);
  }
}

// One chunk for queries [first, first + Q): their results into `partials`, those of neighbours
// attention_partial_floats() apart. Who sees nothing of the chunk is left alone.
template <typename T, int Q>
void attend_chunk(const QueryRun& run, int32_t first, int32_t base, float* partials) {
  const AttentionArgs& args = run.args;
  float* const scores = args.scratch;
  Partial results[Q];
  int32_t counts[Q], most = 0, fewest = kKvChunk;
  for (int i = 0; i < Q; ++i) {
    results[i] = {partials + i * run.partial_floats};
    counts[i] = run.in_chunk(first + i, base);
    most = counts[i] > most ? counts[i] : most;
    fewest = counts[i] < fewest ? counts[i] : fewest;
  }
  if (most == 0) return;
  score_chunk<T, Q>(run, first, base, most, scores);
  for (int i = 0; i < Q; ++i) {
    if (counts[i] > 0) soften(scores + i * kKvChunk, counts[i], results[i]);
    if constexpr (kScaled<T>) scale_weights(args, scores + i * kKvChunk, base, counts[i]);
    for (int32_t d = 0; d < args.value_width; d += 16) store(results[i].values() + d, zero());
  }
  // Together as far as all can see; beyond that a value must not touch who may not see it, not even
  // times zero (it may be infinite).
  weigh<T, Q>(args, scores, results, base, 0, fewest);
  for (int i = 0; i < Q; ++i) {
    weigh<T, 1>(args, scores + i * kKvChunk, results + i, base, fewest, counts[i]);
  }
}

// Nothing seen so far: queries [0, run.args.queries).
void begin_joining(const QueryRun& run, SoFar* so_far) {
  for (int32_t i = 0; i < run.args.queries; ++i) {
    so_far[i] = {-__builtin_inff(), 0.0f};
    for (int32_t d = 0; d < run.args.value_width; ++d) run.out[i][d] = 0.0f;
  }
}

// Joins what queries [first, first + count) have of the chunk at `base` to what they have so far;
// two shifts each, so that up to 8 queries share an exponential.
void join_chunk(const QueryRun& run, int32_t first, int32_t count, int32_t base, float* partials,
                SoFar* so_far) {
  static_assert(2 * kQueriesAtOnce <= 16);
  float shifts[16] = {};
  for (int32_t i = 0; i < count; ++i) {
    if (run.in_chunk(first + i, base) == 0) continue;
    const Partial chunk{partials + i * run.partial_floats};
    SoFar& old = so_far[first + i];
    const float n = old.largest > chunk.largest() ? old.largest : chunk.largest();
    shifts[2 * i] = old.largest - n;
    shifts[2 * i + 1] = chunk.largest() - n;
    old.largest = n;
  }
  store(shifts, exponential(load(shifts)));
  for (int32_t i = 0; i < count; ++i) {
    if (run.in_chunk(first + i, base) == 0) continue;
    const Partial chunk{partials + i * run.partial_floats};
    const float old_scale = shifts[2 * i], new_scale = shifts[2 * i + 1];
    float& total = so_far[first + i].total;
    total = __builtin_fmaf(chunk.total(), new_scale, total * old_scale);
    float* out = run.out[first + i];
    for (int32_t d = 0; d < run.args.value_width; d += 16) {
      const int32_t lanes = run.args.value_width - d;
      const F old = mul(load_lanes(out + d, lanes), set(old_scale));
      store_lanes(out + d, fma(load(chunk.values() + d), set(new_scale), old), lanes);
    }
  }
}

void end_joining(const QueryRun& run, const SoFar* so_far) {
  for (int32_t i = 0; i < run.args.queries; ++i) {
    if (run.visible[i] <= 0) continue;
    for (int32_t d = 0; d < run.args.value_width; ++d) run.out[i][d] /= so_far[i].total;
  }
}

// function.operator()<Q>(first) for all queries, Q = kQueriesAtOnce at a time, then the rest.
template <int Q, typename Function>
inline void by_queries(int32_t first, int32_t end, const Function& function) {
  for (; first + Q <= end; first += Q) function.template operator()<Q>(first);
  if constexpr (Q > 1) {
    if (first < end) by_queries<Q - 1>(first, end, function);
  }
}

template <typename T>
void attend_as(const AttentionArgs& args) {
  const QueryRun run(args);
  float* const partials = args.scratch + kQueriesAtOnce * kKvChunk;
  SoFar so_far[kQueriesPerCall];
  begin_joining(run, so_far);
  const int32_t most = run.most_visible;
  for (int32_t base = 0; base < most; base += kKvChunk) {
    by_queries<kQueriesAtOnce>(0, args.queries, [&]<int Q>(int32_t first) {
      attend_chunk<T, Q>(run, first, base, partials);
      join_chunk(run, first, Q, base, partials, so_far);
    });
  }
  end_joining(run, so_far);
}

template <typename T>
void attend_chunks_as(const AttentionArgs& args, const ChunkRun& chunks) {
  const QueryRun run(args);
  float* partials = chunks.partials;
  for (int32_t c = chunks.first; c < chunks.first + chunks.count; ++c) {
    by_queries<kQueriesAtOnce>(0, args.queries, [&]<int Q>(int32_t first) {
      attend_chunk<T, Q>(run, first, c * kKvChunk, partials + first * run.partial_floats);
    });
    partials += args.queries * run.partial_floats;
  }
}

void join_chunks(const AttentionArgs& args, const ChunkRun& chunks, SoFar* so_far) {
  const QueryRun run(args);
  float* partials = chunks.partials;
  if (chunks.first == 0) begin_joining(run, so_far);
  for (int32_t c = chunks.first; c < chunks.first + chunks.count; ++c) {
    for (int32_t first = 0; first < args.queries; first += kQueriesAtOnce) {
      const int32_t rest = args.queries - first;
      join_chunk(run, first, rest < kQueriesAtOnce ? rest : kQueriesAtOnce, c * kKvChunk,
                 partials + first * run.partial_floats, so_far);
    }
    partials += args.queries * run.partial_floats;
  }
  if ((chunks.first + chunks.count) * kKvChunk >= run.most_visible) end_joining(run, so_far);
}

// function.operator()<T>() for the type in which keys and values are stored.
template <typename Function>
inline void by_type(KvType type, const Function& function) {
  switch (type) {
    case KvType::f32:
      return function.template operator()<float>();
    case KvType::f16:
      return function.template operator()<Half>();
    case KvType::bf16:
      return function.template operator()<Bfloat>();
    case KvType::i8:
      return function.template operator()<int8_t>();
  }
}

void attend(const AttentionArgs& args) {
  by_type(args.type, [&]<typename T>() { attend_as<T>(args); });
}
void attend_chunks(const AttentionArgs& args, const ChunkRun& chunks) {
  by_type(args.type, [&]<typename T>() { attend_chunks_as<T>(args, chunks); });
}

}  // namespace
}  // namespace bessemer::kernels
