// store_kv and attend: where everything lies in the pool, and who computes what.
#include "common/check.h"
#include "worker/backend/cpu/cpu_backend.h"

namespace bessemer::cpu {
namespace {

// Query heads of one sequence that share a KV head, in calls of kQueriesPerCall.
int32_t calls_of(const Batch& batch, int32_t s, int32_t heads) {
  const int32_t rows = batch.query_start.address[s + 1] - batch.query_start.address[s];
  return ceil_div(rows * heads, kernels::kQueriesPerCall);
}

void check_shapes(const Mat& out, const Mat& q, const KvLayer& shape, const Batch& batch,
                  const AttentionParams& p) {
  CHECK(p.kv_heads == shape.heads && p.query_heads % p.kv_heads == 0);
  CHECK(p.key_width == shape.key_width && p.value_width == shape.value_width);
  CHECK(q.cols == p.query_heads * p.key_width && out.cols == p.query_heads * p.value_width);
  CHECK(q.rows == batch.rows && out.rows == batch.rows);
}

}  // namespace

void CpuBackend::store_kv(KvPool& kv, int32_t layer, const Mat& k, const Mat& v,
                          const Batch& batch) {
  auto& pool = static_cast<PagedKv&>(kv);
  const KvLayer& shape = pool.layer(layer).shape;
  CHECK(shape.shares < 0 && k.rows == batch.rows && v.rows == batch.rows);
  CHECK(k.cols == shape.heads * shape.key_width && v.cols == shape.heads * shape.value_width);
  const DeviceInts store_at = batch.groups[static_cast<size_t>(shape.group)].store_at;
  for_rows(k.rows, k.cols + v.cols, [&](int32_t row) {
    const int32_t slot = store_at.address[row];
    if (slot < 0) return;
    for (int32_t head = 0; head < shape.heads; ++head) {
      kernels_.store_kv(pool.key_at(layer, slot, head), pool.block_tokens(),
                        k.row<float>(row) + head * shape.key_width, shape.key_width, pool.type());
      kernels_.store_kv(pool.value_at(layer, slot, head), 1,
                        v.row<float>(row) + head * shape.value_width, shape.value_width,
                        pool.type());
    }
  });
}

// One task is one kernel call: up to kQueriesPerCall query heads that share a KV head of one
// sequence.
void CpuBackend::attend(Mat out, const Mat& q, const KvPool& kv, int32_t layer, const Batch& batch,
                        const AttentionParams& p) {
  const auto& pool = static_cast<const PagedKv&>(kv);
  const PagedKv::Layer& memory = pool.layer(layer);
  check_shapes(out, q, memory.shape, batch, p);
  const Batch::Group& group = batch.groups[static_cast<size_t>(memory.shape.group)];
  const int32_t heads = p.query_heads / p.kv_heads;
  const std::span first_task =
      std::span(first_task_).first(static_cast<size_t>(batch.sequences) + 1);
  first_task[0] = 0;
  for (int32_t s = 0; s < batch.sequences; ++s) {
    const auto i = static_cast<size_t>(s);
    first_task[i + 1] = first_task[i] + calls_of(batch, s, heads) * p.kv_heads;
  }
  const auto call = [&](int32_t task, int32_t thread) {
    const auto after = std::ranges::upper_bound(first_task, task);
    const auto s = static_cast<int32_t>(after - first_task.begin()) - 1;
    const int32_t within = task - first_task[static_cast<size_t>(s)];
    const int32_t calls = calls_of(batch, s, heads), kv_head = within / calls;
    const int32_t first_query = within % calls * kernels::kQueriesPerCall;
    const int32_t row = batch.query_start.address[s], end = batch.query_start.address[s + 1];
    kernels_.attend(
        {.q = q.row<float>(row) + kv_head * heads * p.key_width,
         .q_stride = q.row_stride,
         .out = out.row<float>(row) + kv_head * heads * p.value_width,
         .out_stride = out.row_stride,
         .positions = batch.positions.address + row,
         .heads = heads,
         .first_query = first_query,
         .queries = std::min(kernels::kQueriesPerCall, (end - row) * heads - first_query),
         .kv_len = group.kv_len.address[s],
         .causal = p.causal,
         .keys = pool.key_at(layer, 0, kv_head),
         .values = pool.value_at(layer, 0, kv_head),
         .key_block_bytes = memory.key_block_bytes,
         .value_block_bytes = memory.value_block_bytes,
         .table = group.table.address + static_cast<ptrdiff_t>(s) * group.table_stride,
         .block_tokens = pool.block_tokens(),
         .key_width = p.key_width,
         .value_width = p.value_width,
         .type = pool.type(),
         .scale = p.scale,
         .scratch = scratch_.get() + static_cast<size_t>(thread) * kernels::kAttentionScratch});
  };
  // One loop in all but the largest steps of models with hundreds of heads.
  constexpr int32_t kLoop = ThreadPool::kMaxTasks / 2;
  for (int32_t first = 0; first < first_task.back(); first += kLoop) {
    pool_->run(std::min(kLoop, first_task.back() - first),
               [&](int32_t task, int32_t thread) { call(first + task, thread); });
  }
}

}  // namespace bessemer::cpu
