// How much KV a worker may hold, decided last, once weights and activations have their place. Pure.
#pragma once
#include <cstdint>
#include <string>

#include "common/status.h"

namespace bessemer {

struct MemoryRequest {
  uint64_t weight_bytes = 0, scratch_bytes = 0;  // taken already
  uint64_t available_bytes = 0;                  // what is left for KV
  uint64_t kv_cache_bytes = 0;                   // asked for; 0: kv_fraction of what is available
  double kv_fraction = 0;
  uint64_t block_bytes = 0;
  int32_t block_tokens = 0;
  int32_t max_len = 0;  // tokens of one sequence
  int32_t slots = 0;    // sequences at once
};

struct MemoryPlan {
  MemoryRequest request;
  int32_t kv_blocks = 0;
  uint64_t kv_bytes() const { return static_cast<uint64_t>(kv_blocks) * request.block_bytes; }
};

// ResourceExhausted, with the numbers and the remedies, where a single sequence of max_len tokens
// would not fit or more is asked for than there is. Without kv_cache_bytes the plan never takes
// more than `slots` sequences of max_len can use.
StatusOr<MemoryPlan> plan_memory(const MemoryRequest& request);

// A table of three lines for the log: weights, activations, KV.
std::string describe(const MemoryPlan& plan);

}  // namespace bessemer
