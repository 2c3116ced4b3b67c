// store_kv, rope_store_kv and attend: where everything lies in the pool, and who computes what.
#include "common/check.h"
#include "worker/backend/cpu/cpu_backend.h"
#include "worker/backend/cpu/rotation.h"

namespace bessemer::cpu {
namespace {

void check_shapes(const Mat& out, const Mat& q, const KvLayer& shape, const Batch& batch,
                  const AttentionParams& p) {
  CHECK(p.kv_heads == shape.heads && p.query_heads % p.kv_heads == 0);
  CHECK(p.key_width == shape.key_width && p.value_width == shape.value_width);
  CHECK(q.cols == p.query_heads * p.key_width && out.cols == p.query_heads * p.value_width);
  CHECK(q.rows == batch.rows && out.rows == batch.rows);
}

std::span<const int32_t> span_of(DeviceInts ints) {
  return {ints.address, static_cast<size_t>(ints.count)};
}

// Where the rows of one layer go.
class Store {
 public:
  Store(KvPool& kv, int32_t layer, const Mat& k, const Mat& v, const Batch& batch)
      : pool_(static_cast<PagedKv&>(kv)),
        layer_(layer),
        shape_(pool_.layer(layer).shape),
        k_(k),
        v_(v),
        store_at_(batch.groups[static_cast<size_t>(shape_.group)].store_at) {
    CHECK(shape_.shares < 0 && k.rows == batch.rows && v.rows == batch.rows);
    CHECK(k.cols == shape_.heads * shape_.key_width && v.cols == shape_.heads * shape_.value_width);
  }
  void put(const kernels::Kernels& kernels, int32_t row) const {
    const int32_t slot = store_at_.address[row];
    if (slot < 0) return;
    for (int32_t head = 0; head < shape_.heads; ++head) {
      kernels.store_kv(pool_.key_row(layer_, slot, head),
                       k_.row<float>(row) + head * shape_.key_width, shape_.key_width,
                       pool_.type());
      kernels.store_kv(pool_.value_row(layer_, slot, head),
                       v_.row<float>(row) + head * shape_.value_width, shape_.value_width,
                       pool_.type());
    }
  }

 private:
  PagedKv& pool_;
  const int32_t layer_;
  const KvLayer& shape_;
  const Mat &k_, &v_;
  const DeviceInts store_at_;
};

// What one attend() was called with, as plan and kernels want it.
struct Operands {
  const Mat &out, &q;
  const PagedKv& pool;
  int32_t layer;
  const Batch& batch;
  const AttentionParams& p;
  const Batch::Group& group = batch.groups[static_cast<size_t>(pool.layer(layer).shape.group)];
  int32_t heads = p.query_heads / p.kv_heads;  // that share a KV head

  AttendWork work() const {
    return {.query_start = span_of(batch.query_start),
            .positions = span_of(batch.positions),
            .kv_len = span_of(group.kv_len),
            .kv_heads = p.kv_heads,
            .heads = heads,
            .key_width = p.key_width,
            .value_width = p.value_width,
            .causal = p.causal};
  }
  kernels::AttentionArgs args(const AttendTask& task, float* scratch) const {
    const int32_t row = batch.query_start.address[task.sequence];
    return {
        .q = q.row<float>(row) + task.kv_head * heads * p.key_width,
        .q_stride = q.row_stride,
        .out = out.row<float>(row) + task.kv_head * heads * p.value_width,
        .out_stride = out.row_stride,
        .positions = batch.positions.address + row,
        .heads = heads,
        .first_query = task.first_query,
        .queries = task.queries,
        .kv_len = group.kv_len.address[task.sequence],
        .causal = p.causal,
        .keys = pool.key_row(layer, 0, task.kv_head).values,
        .values = pool.value_row(layer, 0, task.kv_head).values,
        .block_bytes = pool.layer(layer).block_bytes,
        .table = group.table.address + static_cast<ptrdiff_t>(task.sequence) * group.table_stride,
        .block_tokens = pool.block_tokens(),
        .key_width = p.key_width,
        .value_width = p.value_width,
        .type = pool.type(),
        .scale = p.scale,
        .scratch = scratch};
  }
};

}  // namespace

void CpuBackend::store_kv(KvPool& kv, int32_t layer, const Mat& k, const Mat& v,
                          const Batch& batch) {
  const Store store(kv, layer, k, v, batch);
  for_rows(k.rows, k.cols + v.cols, [&](int32_t row) { store.put(kernels_, row); });
}

// A row is rotated and stored while it is in the first cache, in one loop instead of three.
void CpuBackend::rope_store_kv(Mat q, Mat k, const Mat& v, KvPool& kv, int32_t layer,
                               const Batch& batch, const RopeTable& table, const RopeParams& p) {
  const Rotation rotation(table, p, batch);
  const Store store(kv, layer, k, v, batch);
  rotation.check(q);
  rotation.check(k);
  for_rows(k.rows, q.cols + k.cols + v.cols, [&](int32_t row) {
    rotation.turn(kernels_, q, row);
    rotation.turn(kernels_, k, row);
    store.put(kernels_, row);
  });
}

// A task is a kernel call: all that a unit of the plan sees, or some chunks of it. Of those that
// share a unit the one that ends last joins their results.
void CpuBackend::attend(Mat out, const Mat& q, const KvPool& kv, int32_t layer, const Batch& batch,
                        const AttentionParams& p) {
  const auto& pool = static_cast<const PagedKv&>(kv);
  check_shapes(out, q, pool.layer(layer).shape, batch, p);
  const Operands operands{out, q, pool, layer, batch, p};
  plan_.make(operands.work());
  for (int32_t pass = 0; pass < plan_.passes(); ++pass) {
    plan_.begin_pass(pass);
    plan_.for_split_units([&](int32_t unit, int32_t tasks) {
      split_units_[static_cast<size_t>(unit)].left.store(tasks, std::memory_order_relaxed);
    });
    // One loop in all but the largest steps of models with hundreds of heads.
    constexpr int32_t kLoop = ThreadPool::kMaxTasks / 2;
    for (int32_t first = 0; first < plan_.tasks(); first += kLoop) {
      pool_->run(std::min(kLoop, plan_.tasks() - first), [&](int32_t index, int32_t thread) {
        const AttendTask task = plan_.task(first + index);
        float* scratch = scratch_.get() + static_cast<size_t>(thread) * kernels::kAttentionScratch;
        run_task(task, operands.args(task, scratch));
      });
    }
  }
}

void CpuBackend::run_task(const AttendTask& task, const kernels::AttentionArgs& args) {
  if (task.unit < 0) return kernels_.attend(args);
  SplitUnit& unit = split_units_[static_cast<size_t>(task.unit)];
  float* const results = partials_.get() + task.partials;
  const ptrdiff_t skipped = ptrdiff_t{task.begin - task.window_begin} * args.queries *
                            kernels::attention_partial_floats(args.value_width);
  kernels_.attend_chunks(
      args, {.first = task.begin, .count = task.end - task.begin, .partials = results + skipped});
  if (unit.left.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  if (task.window_begin == task.window_end) return;  // all it sees lay in earlier passes
  kernels_.join_chunks(args,
                       {.first = task.window_begin,
                        .count = task.window_end - task.window_begin,
                        .partials = results},
                       unit.so_far);
}

}  // namespace bessemer::cpu
