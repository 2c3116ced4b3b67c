// Attention over paged KV, in f32 and with no assumption on widths: a block takes up to kQueries query vectors that share a
// KV head and goes through its run of positions in chunks, with the running maximum and sum of each vector. A thread scores
// one position of a chunk; then threads sum columns of the values.
#include <type_traits>

#include "kernels/cuda/kv_types.cuh"
#include "kernels/cuda/launch.cuh"

namespace bessemer::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr int kChunk = kThreads;  // positions scored at once

// What a launch looks like from a block.
struct Plan {
  Rows out;
  ConstRows q;
  KvLayerView kv;
  AttentionBatch batch;
  AttentionShape shape;
  float* partials;
  int32_t splits, split_positions, column_threads;
};

// One query vector of a block.
struct Query {
  int32_t row = -1, head = 0, visible = 0;  // row -1: there is none
};

__device__ Query query_of(const Plan& p, int32_t sequence, int32_t kv_head, int32_t index) {
  const int32_t group = p.shape.query_heads / p.shape.kv_heads;
  const int32_t begin = p.batch.query_start[sequence], end = p.batch.query_start[sequence + 1];
  const int32_t row = begin + index / group;
  if (row >= end) return {};
  const int32_t length = p.batch.kv_len[sequence];
  const int32_t visible = p.shape.causal ? min(length, p.batch.positions[row] + 1) : length;
  return {row, kv_head * group + index % group, visible};
}

// dot(q[v], key) for kQueries vectors; q in shared memory [d][kQueries]. Vectors of 16 bytes are loaded four at a time, so
// that a thread has several on their way.
template <typename T, int kQueries, bool kVector>
__device__ void score(float (&dot)[kQueries], const float* q, const T* key, int32_t width) {
#pragma unroll
  for (int v = 0; v < kQueries; ++v) dot[v] = 0.0f;
  constexpr int kStep = kVector ? 16 / static_cast<int>(sizeof(T)) : 1, kLoads = 4;
  for (int32_t first = 0; first < width; first += kLoads * kStep) {
    T values[kLoads][kStep];
#pragma unroll
    for (int l = 0; l < kLoads; ++l) {
      const int32_t d = first + l * kStep;
      if (d >= width) continue;
      if constexpr (kVector) {
        *reinterpret_cast<uint4*>(values[l]) = __ldg(reinterpret_cast<const uint4*>(key + d));
      } else {
        values[l][0] = key[d];
      }
    }
#pragma unroll
    for (int l = 0; l < kLoads; ++l) {
      if (first + l * kStep >= width) continue;
#pragma unroll
      for (int i = 0; i < kStep; ++i) {
        const float k = kv_to_float(values[l][i]);
        const float* at = q + (first + l * kStep + i) * kQueries;
#pragma unroll
        for (int v = 0; v < kQueries; ++v) dot[v] = fmaf(at[v], k, dot[v]);
      }
    }
  }
}

// Columns of the values that a thread owns: neighbours that it loads at once, or single ones kThreads apart.
template <typename T, bool kVector>
struct Columns {
  static constexpr int kOwn =
      kVector ? (sizeof(T) == 4 ? 4 : 8) : (kMaxValueWidth + kThreads - 1) / kThreads;
  __device__ static int32_t at(int32_t thread, int i) {
    return kVector ? thread * kOwn + i : thread + i * kThreads;
  }
  // The least power of two from 8 on that holds the columns, at most kThreads.
  static int32_t threads(int32_t width) {
    int32_t threads = 8;
    while (threads * (kVector ? kOwn : 1) < width && threads < kThreads) threads *= 2;
    return threads;
  }
  __device__ static void load(float (&to)[kOwn], const T* row, int32_t thread, int32_t width) {
    if constexpr (kVector) {
      if (thread * kOwn >= width) return;
      using Word = std::conditional_t<sizeof(T) == 1, uint2, uint4>;
      const Word word = __ldg(reinterpret_cast<const Word*>(row + thread * kOwn));
      const T* values = reinterpret_cast<const T*>(&word);
#pragma unroll
      for (int i = 0; i < kOwn; ++i) to[i] = kv_to_float(values[i]);
    } else {
#pragma unroll
      for (int i = 0; i < kOwn; ++i) {
        if (at(thread, i) < width) to[i] = kv_to_float(row[at(thread, i)]);
      }
    }
  }
};

template <int kQueries>
struct Shared {
  Query queries[kQueries];
  float maximum[kQueries], sum[kQueries], rescale[kQueries];
  alignas(16) float weights[kChunk][kQueries];  // scores, then their exponentials
  int64_t rows[kChunk];                         // where positions lie in the pool, in rows
  float value_scales[kChunk];
};

// A warp's vectors: the chunk's maximum joins the running one, scores become weights.
template <int kQueries>
__device__ void softmax_chunk(Shared<kQueries>& s, int count) {
  const int lane = threadIdx.x % 32;
  for (int v = threadIdx.x / 32; v < kQueries; v += kWarps) {
    float largest = s.maximum[v];
    for (int j = lane; j < count; j += 32) largest = fmaxf(largest, s.weights[j][v]);
#pragma unroll
    for (int step = 16; step > 0; step /= 2)
      largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, step));
    // -inf: nothing was visible so far, or nothing but NaN, which must come through.
    const float base = largest == -INFINITY ? 0.0f : largest;
    float sum = 0.0f;
    for (int j = lane; j < count; j += 32) {
      const float weight = expf(s.weights[j][v] - base);
      s.weights[j][v] = weight;
      sum += weight;
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
    if (lane == 0) {
      const float rescale =
          s.maximum[v] == -INFINITY ? (s.sum[v] == 0.0f ? 0.0f : 1.0f) : expf(s.maximum[v] - base);
      s.rescale[v] = rescale;
      s.sum[v] = s.sum[v] * rescale + sum;
      s.maximum[v] = largest;
    }
  }
}

// Writes a block's result: normalised to `out`, or as one of its row's partial results.
template <int kQueries>
__device__ void write_result(const Plan& p, const Shared<kQueries>& s, int32_t split, int v,
                             int32_t column, float value) {
  const Query query = s.queries[v];
  if (query.row < 0) return;
  const int32_t width = p.kv.values.width;
  if (p.splits == 1) {
    float* to = p.out.data + static_cast<int64_t>(query.row) * p.out.stride + query.head * width;
    to[column] = s.sum[v] == 0.0f ? 0.0f : value / s.sum[v];
    return;
  }
  const int64_t item =
      (static_cast<int64_t>(query.row) * p.shape.query_heads + query.head) * p.splits + split;
  float* to = p.partials + item * (width + 2);
  to[2 + column] = value;
  if (column == 0) {
    to[0] = s.maximum[v];
    to[1] = s.sum[v];
  }
}

// grid: (tiles of kQueries vectors, KV heads, sequences x splits). Dynamic shared memory: q, [key width][kQueries]; later the
// sums of the position groups.
template <typename T, int kQueries, bool kVector>
__global__ void __launch_bounds__(kThreads) attend_kernel(const __grid_constant__ Plan p) {
  begin_kernel();
  extern __shared__ float dynamic[];
  __shared__ Shared<kQueries> s;
  const int32_t sequence = blockIdx.z / p.splits, split = blockIdx.z % p.splits,
                kv_head = blockIdx.y;
  const int32_t first = blockIdx.x * kQueries, tid = threadIdx.x;
  const int32_t key_width = p.kv.keys.width, width = p.kv.values.width;
  if (query_of(p, sequence, kv_head, first).row < 0)
    return;  // the whole block is behind the sequence's rows
  if (tid < kQueries) {
    s.queries[tid] = query_of(p, sequence, kv_head, first + tid);
    s.maximum[tid] = -INFINITY;
    s.sum[tid] = 0.0f;
  }
  __syncthreads();
  for (int32_t i = tid; i < key_width * kQueries; i += kThreads) {
    const Query query = s.queries[i % kQueries];
    dynamic[i] = query.row < 0 ? 0.0f
                               : p.q.data[static_cast<int64_t>(query.row) * p.q.stride +
                                          query.head * key_width + i / kQueries];
  }
  int32_t farthest = 0, nearest = INT32_MAX;
  for (int v = 0; v < kQueries; ++v) {
    farthest = max(farthest, s.queries[v].visible);
    if (s.queries[v].row >= 0) nearest = min(nearest, s.queries[v].visible);
  }
  const int32_t begin = split * p.split_positions;
  const int32_t end = p.splits == 1 ? farthest : min(farthest, begin + p.split_positions);
  // Threads own columns of the values; where there are more threads than columns, groups of them take positions in turn.
  using Own = Columns<T, kVector>;
  const int32_t groups = kThreads / p.column_threads, group = tid / p.column_threads,
                column = tid % p.column_threads;
  float acc[kQueries][Own::kOwn] = {};
  const T* keys = static_cast<const T*>(p.kv.keys.values);
  const T* values = static_cast<const T*>(p.kv.values.values);
  __syncthreads();
  for (int32_t chunk = begin; chunk < end; chunk += kChunk) {
    const int32_t count = min(kChunk, end - chunk);
    if (tid < count) {
      const int32_t position = chunk + tid, block_tokens = p.kv.block_tokens;
      const int64_t block = p.batch.table[static_cast<int64_t>(sequence) * p.batch.table_stride +
                                          position / block_tokens];
      const int64_t row = (block * p.kv.heads + kv_head) * block_tokens + position % block_tokens;
      s.rows[tid] = row;
      float dot[kQueries];
      score<T, kQueries, kVector>(dot, dynamic, keys + row * key_width, key_width);
      const float key_scale = sizeof(T) == 1 ? p.kv.keys.scales[row] : 1.0f;
      if (sizeof(T) == 1) s.value_scales[tid] = p.kv.values.scales[row];
#pragma unroll
      for (int v = 0; v < kQueries; ++v) {
        s.weights[tid][v] =
            position < s.queries[v].visible ? dot[v] * key_scale * p.shape.scale : -INFINITY;
      }
    }
    __syncthreads();
    softmax_chunk(s, count);
    __syncthreads();
#pragma unroll
    for (int v = 0; v < kQueries; ++v) {
#pragma unroll
      for (int c = 0; c < Own::kOwn; ++c) acc[v][c] *= s.rescale[v];
    }
    // What is not visible must not even be multiplied by 0: it may be infinite.
    const bool all_visible = chunk + count <= nearest;
    constexpr int kLoads = 4;
    for (int32_t first_j = group; first_j < count; first_j += kLoads * groups) {
      float value[kLoads][Own::kOwn];
#pragma unroll
      for (int l = 0; l < kLoads; ++l) {
        const int32_t j = first_j + l * groups;
        if (j < count) Own::load(value[l], values + s.rows[j] * width, column, width);
      }
#pragma unroll
      for (int l = 0; l < kLoads; ++l) {
        const int32_t j = first_j + l * groups;
        if (j >= count) continue;
        const float scale = sizeof(T) == 1 ? s.value_scales[j] : 1.0f;
#pragma unroll
        for (int v = 0; v < kQueries; ++v) {
          if (!all_visible && chunk + j >= s.queries[v].visible) continue;
          const float weight = s.weights[j][v];
#pragma unroll
          for (int c = 0; c < Own::kOwn; ++c) {
            acc[v][c] = fmaf(weight, sizeof(T) == 1 ? value[l][c] * scale : value[l][c], acc[v][c]);
          }
        }
      }
    }
    __syncthreads();
  }
  // The groups' sums are joined in their order.
  const int32_t own_columns = p.column_threads * Own::kOwn;
#pragma unroll
  for (int v = 0; v < kQueries; ++v) {
    if (groups == 1) {
#pragma unroll
      for (int c = 0; c < Own::kOwn; ++c) {
        if (Own::at(column, c) < width)
          write_result<kQueries>(p, s, split, v, Own::at(column, c), acc[v][c]);
      }
      continue;
    }
    __syncthreads();
#pragma unroll
    for (int c = 0; c < Own::kOwn; ++c) {
      if (Own::at(column, c) < own_columns)
        dynamic[group * own_columns + Own::at(column, c)] = acc[v][c];
    }
    __syncthreads();
    for (int32_t d = tid; d < width; d += kThreads) {
      float total = 0.0f;
      for (int32_t i = 0; i < groups; ++i) total += dynamic[i * own_columns + d];
      write_result<kQueries>(p, s, split, v, d, total);
    }
  }
}

// grid: (rows of sequences, query heads). Joins the splits in order.
__global__ void __launch_bounds__(kThreads) join_kernel(const __grid_constant__ Plan p) {
  begin_kernel();
  const int32_t row = blockIdx.x, head = blockIdx.y, width = p.kv.values.width;
  if (row >= p.batch.query_start[p.batch.sequences]) return;  // padding
  const float* parts = p.partials + (static_cast<int64_t>(row) * p.shape.query_heads + head) *
                                        p.splits * (width + 2);
  float largest = -INFINITY;
  for (int32_t i = 0; i < p.splits; ++i)
    largest = fmaxf(largest, parts[static_cast<int64_t>(i) * (width + 2)]);
  const float base = largest == -INFINITY ? 0.0f : largest;
  for (int32_t d = threadIdx.x; d < width; d += kThreads) {
    float total = 0.0f, value = 0.0f;
#pragma unroll 4
    for (int32_t i = 0; i < p.splits; ++i) {
      const float* part = parts + static_cast<int64_t>(i) * (width + 2);
      const float largest_here = part[0], sum = part[1], sums = part[2 + d];
      // A run that saw nothing has sum 0; one that saw only NaN has no largest.
      const float weight = sum == 0.0f                 ? 0.0f
                           : largest_here == -INFINITY ? 1.0f
                                                       : expf(largest_here - base);
      total = fmaf(sum, weight, total);
      value = fmaf(sums, weight, value);
    }
    p.out.data[static_cast<int64_t>(row) * p.out.stride + head * width + d] =
        total == 0.0f ? 0.0f : value / total;
  }
}

// Into how many runs contexts are cut: at most one a chunk, and what the partial results have room for; otherwise so that
// every multiprocessor has a few blocks, which fill in for each other while they wait for memory, twice a chunk. Measured on an
// H100: four where one would not have a block each (8 contexts of 8,192), two where it would (32 of 2,048).
int32_t split_count(const Plan& p, int64_t blocks, const AttentionPartials& partials,
                    int32_t multiprocessors) {
  const int64_t each = blocks < multiprocessors ? 4 : 2;
  const int64_t wanted = ceil_div(each * multiprocessors, blocks);
  const int64_t most = ceil_div(p.batch.longest_kv, kChunk);
  const int64_t item =
      static_cast<int64_t>(p.batch.rows) * p.shape.query_heads * (p.kv.values.width + 2);
  const int64_t room = static_cast<int64_t>(partials.floats) / item;
  const int64_t splits = wanted < most ? wanted : most;
  return static_cast<int32_t>(splits < room ? (splits > 1 ? splits : 1) : (room > 1 ? room : 1));
}

template <typename T, int kQueries, bool kVector>
void launch_blocks(Plan& p, dim3 grid, cudaStream_t stream) {
  using Own = Columns<T, kVector>;
  p.column_threads = Own::threads(p.kv.values.width);
  // q, and later what the groups of threads have summed.
  const int32_t q = p.kv.keys.width * kQueries, sums = kThreads * Own::kOwn;
  const size_t shared = static_cast<size_t>(q > sums ? q : sums) * sizeof(float);
  launch_kernel(attend_kernel<T, kQueries, kVector>, grid, kThreads, shared, stream, p);
}

template <typename T, int kQueries>
void launch(Plan& p, const AttentionPartials& partials, int32_t multiprocessors,
            cudaStream_t stream) {
  const int32_t group = p.shape.query_heads / p.shape.kv_heads;
  const int64_t tiles = ceil_div(static_cast<int64_t>(p.batch.longest_query) * group, kQueries);
  p.splits =
      split_count(p, tiles * p.shape.kv_heads * p.batch.sequences, partials, multiprocessors);
  p.split_positions =
      static_cast<int32_t>(ceil_div(ceil_div(p.batch.longest_kv, p.splits), kChunk) * kChunk);
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(p.shape.kv_heads),
                  static_cast<unsigned>(p.batch.sequences * p.splits));
  constexpr int kVector = 16 / static_cast<int>(sizeof(T));
  if (p.kv.keys.width % kVector == 0 && p.kv.values.width % kVector == 0) {
    launch_blocks<T, kQueries, true>(p, grid, stream);
  } else {
    launch_blocks<T, kQueries, false>(p, grid, stream);
  }
  if (p.splits > 1) {
    const dim3 rows(static_cast<unsigned>(p.batch.rows),
                    static_cast<unsigned>(p.shape.query_heads));
    launch_kernel(join_kernel, rows, kThreads, 0, stream, p);
  }
}

}  // namespace

void attend(Rows out, const ConstRows& q, const KvLayerView& kv, const AttentionBatch& batch,
            const AttentionShape& shape, const AttentionPartials& partials, int32_t multiprocessors,
            cudaStream_t stream) {
  if (batch.sequences <= 0 || batch.longest_query <= 0) return;
  Plan p{out, q, kv, batch, shape, partials.data, 1, 0, 0};
  with_kv_type(kv.type, [&]<typename T>(T*) {
    if (static_cast<int64_t>(batch.longest_query) * (shape.query_heads / shape.kv_heads) <= 4) {
      launch<T, 4>(p, partials, multiprocessors, stream);
    } else {
      launch<T, 8>(p, partials, multiprocessors, stream);
    }
  });
}

}  // namespace bessemer::cuda
