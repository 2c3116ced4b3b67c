// Rows, pointwise ops and attention: checks of shapes, then one kernel each.
#include "worker/backend/cuda/cuda_backend.h"
#include "worker/backend/cuda/views.h"

namespace bessemer::cuda {
namespace {

GateKind kind_of(Activation act) {
  switch (act) {
    case Activation::silu:
      return GateKind::silu;
    case Activation::gelu:
      return GateKind::gelu;
    case Activation::gelu_tanh:
      return GateKind::gelu_tanh;
    case Activation::relu:
      return GateKind::relu;
  }
  return GateKind::silu;
}

void check_kv_rows(const KvLayer& shape, const Mat& k, const Mat& v, const Batch& batch) {
  CHECK(shape.shares < 0 && k.rows == batch.rows && v.rows == batch.rows);
  CHECK(k.cols == shape.heads * shape.key_width && v.cols == shape.heads * shape.value_width);
}

}  // namespace

void CudaBackend::embed(Mat out, const Batch& batch, const Weight& table) {
  const CudaWeight& w = own(table);
  CHECK(out.rows == batch.rows && out.cols == w.in_features());
  if (skip()) return;
  for (const CudaWeight::Segment& segment : w.segments()) {
    if (const auto* tiles = std::get_if<Tiles>(&segment.matrix)) {
      embed_tiles(rows_of(out), batch.ids.address, *tiles, segment.first_row, stream_->get());
    } else {
      embed_floats(rows_of(out), batch.ids.address, std::get<FloatWeight>(segment.matrix),
                   segment.first_row, stream_->get());
    }
  }
}

void CudaBackend::get_rows(Mat out, const Mat& x, DeviceInts at) {
  CHECK(out.rows == at.count && out.cols == x.cols);
  if (!skip()) cuda::get_rows(rows_of(out), rows_of(x), at.address, stream_->get());
}

void CudaBackend::rms_norm(Mat out, const Mat& x, const Weight& w, float eps) {
  CHECK(out.rows == x.rows && out.cols == x.cols && own(w).vector() && w.in_features() == x.cols);
  if (!skip()) cuda::rms_norm(rows_of(out), rows_of(x), own(w).vector(), eps, stream_->get());
}

void CudaBackend::add_rms_norm(Mat out, Mat residual, const Mat& x, const Weight& w, float eps) {
  CHECK(residual.rows == x.rows && residual.cols == x.cols && out.rows == x.rows &&
        out.cols == x.cols);
  CHECK(own(w).vector() && w.in_features() == x.cols);
  if (skip()) return;
  cuda::add_rms_norm(rows_of(out), rows_of(residual), rows_of(x), own(w).vector(), eps,
                     stream_->get());
}

void CudaBackend::add(Mat inout, const Mat& x) {
  CHECK(inout.rows == x.rows && inout.cols == x.cols);
  if (!skip()) cuda::add(rows_of(inout), rows_of(x), stream_->get());
}

void CudaBackend::gated_act(Mat out, const Mat& gate_up, Activation act) {
  CHECK(out.rows == gate_up.rows && gate_up.cols == 2 * out.cols);
  if (!skip()) cuda::gated_act(rows_of(out), rows_of(gate_up), kind_of(act), stream_->get());
}

void CudaBackend::rope(Mat inout, const Batch& batch, const RopeTable& table, const RopeParams& p) {
  CHECK(inout.rows == batch.rows && inout.cols % p.head_dim == 0);
  const Rotation rotation = rotation_of(table, p);
  if (!skip()) cuda::rope(rows_of(inout), batch.positions.address, rotation, stream_->get());
}

void CudaBackend::store_kv(KvPool& kv, int32_t layer, const Mat& k, const Mat& v,
                           const Batch& batch) {
  const KvLayer& shape = own(kv).shape(layer);
  check_kv_rows(shape, k, v, batch);
  if (skip()) return;
  const DeviceInts store_at = batch.groups[static_cast<size_t>(shape.group)].store_at;
  cuda::store_kv(own(kv).view(layer), rows_of(k), rows_of(v), store_at.address, stream_->get());
}

void CudaBackend::rope_store_kv(Mat q, Mat k, const Mat& v, KvPool& kv, int32_t layer,
                                const Batch& batch, const RopeTable& table, const RopeParams& p) {
  const KvLayer& shape = own(kv).shape(layer);
  check_kv_rows(shape, k, v, batch);
  CHECK(q.rows == batch.rows && q.cols % p.head_dim == 0 && shape.key_width == p.head_dim);
  const Rotation rotation = rotation_of(table, p);
  if (skip()) return;
  const DeviceInts store_at = batch.groups[static_cast<size_t>(shape.group)].store_at;
  cuda::rope_store_kv(rows_of(q), rows_of(k), rows_of(v), own(kv).view(layer), store_at.address,
                      batch.positions.address, rotation, stream_->get());
}

void CudaBackend::attend(Mat out, const Mat& q, const KvPool& kv, int32_t layer, const Batch& batch,
                         const AttentionParams& p) {
  const KvLayer& shape = own(kv).shape(layer);
  const Batch::Group& group = batch.groups[static_cast<size_t>(shape.group)];
  CHECK(p.kv_heads == shape.heads && p.query_heads % p.kv_heads == 0);
  CHECK(p.key_width == shape.key_width && p.value_width == shape.value_width);
  CHECK(q.cols == p.query_heads * p.key_width && out.cols == p.query_heads * p.value_width);
  CHECK(q.rows == batch.rows && out.rows == batch.rows);
  if (skip()) return;
  const AttentionBatch rows{.positions = batch.positions.address,
                            .query_start = batch.query_start.address,
                            .table = group.table.address,
                            .kv_len = group.kv_len.address,
                            .rows = batch.rows,
                            .sequences = batch.sequences,
                            .table_stride = group.table_stride,
                            .longest_query = batch.longest_query,
                            .longest_kv = kv_bucket(batch.longest_kv)};
  cuda::attend(rows_of(out), rows_of(q), own(kv).view(layer), rows,
               {p.query_heads, p.kv_heads, p.scale, p.causal}, workspace_.attention(),
               multiprocessors_, stream_->get());
}

void CudaBackend::all_gather_cols(Mat out, const Mat& x) {
  CHECK(out.rows == x.rows && out.cols == x.cols);
  if (!skip() && out.data() != x.data()) copy_rows(rows_of(out), rows_of(x), stream_->get());
}

}  // namespace bessemer::cuda
