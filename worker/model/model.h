// A whole architecture as one linear file over Backend ops.
#pragma once
#include <cstddef>
#include <cstdint>

#include "common/status.h"
#include "worker/backend/backend.h"

namespace bessemer {

// This rank of the tensor-parallel group.
struct Rank {
  int32_t index = 0, count = 1;
};

class Model {
 public:
  virtual ~Model() = default;
  virtual int32_t vocab_size() const = 0;
  virtual int32_t max_len() const = 0;     // trained context, tokens
  virtual KvLayout kv_layout() const = 0;  // without group_blocks
  virtual uint64_t parameters() const = 0;
  virtual size_t weight_bytes() const = 0;  // as packed
  // Allocates activations for steps of up to `rows` rows, `logit_rows` of which want logits, at
  // positions below `max_len`. Once, before the first forward; max_len is at most max_len().
  virtual Status reserve(Backend& backend, int32_t rows, int32_t logit_rows, int32_t max_len) = 0;
  virtual size_t scratch_bytes() const = 0;  // what reserve() took
  // Issues the ops of one step. Returns logits [batch.out_rows.count, vocab_size], f32, valid until
  // the next forward.
  virtual Mat forward(Backend& backend, const Batch& batch, KvPool& kv) = 0;
};

}  // namespace bessemer
