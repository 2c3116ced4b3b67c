// Paged KV in device memory: per layer [block][head][token][width], keys and values apart; int8 with scales beside them.
#pragma once
#include <vector>

#include "kernels/cuda/attention.h"
#include "worker/backend/cuda/device.h"
#include "worker/backend/kv.h"

namespace bessemer::cuda {

class CudaKvPool final : public KvPool {
 public:
  // Zeroed. InvalidArgument: a layout that no backend can hold, or values wider than kMaxValueWidth;
  // ResourceExhausted names the size.
  static StatusOr<KvPoolPtr> make(const KvLayout& layout, const Stream& stream);

  size_t size_bytes() const override { return size_bytes_; }
  const KvLayout& layout() const { return layout_; }
  const KvLayer& shape(int32_t layer) const { return layout_.layers[static_cast<size_t>(layer)]; }
  // Where `layer` reads; a layer that shares another's KV gets that one's.
  const KvLayerView& view(int32_t layer) const { return views_[static_cast<size_t>(layer)]; }

  void move(const KvMove& move, const Stream& stream);

 private:
  Status place(const Stream& stream);

  KvLayout layout_;
  size_t size_bytes_ = 0;
  Memory memory_;
  std::vector<KvLayerView> views_;
  struct Group {
    Memory planes;  // of KvPlane
    int32_t count = 0;
  };
  std::vector<Group> groups_;
};

}  // namespace bessemer::cuda
