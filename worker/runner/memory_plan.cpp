#include "worker/runner/memory_plan.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "common/check.h"

namespace bessemer {
namespace {

constexpr uint64_t kMegabyte = uint64_t{1} << 20;
// Positions in the cache are numbered by int32.
constexpr uint64_t kMaxPositions = std::numeric_limits<int32_t>::max();

uint64_t megabytes_up(uint64_t bytes) {
  return (bytes + kMegabyte - 1) / kMegabyte;
}

std::string megabytes(uint64_t bytes) {
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / static_cast<double>(kMegabyte));
}

uint64_t blocks_of_one_sequence(const MemoryRequest& r) {
  return static_cast<uint64_t>((r.max_len + r.block_tokens - 1) / r.block_tokens);
}

}  // namespace

StatusOr<MemoryPlan> plan_memory(const MemoryRequest& r) {
  CHECK(r.block_bytes > 0 && r.block_tokens > 0 && r.max_len > 0 && r.slots > 0);
  const uint64_t one = blocks_of_one_sequence(r), all = one * static_cast<uint64_t>(r.slots);
  const auto share = static_cast<uint64_t>(static_cast<double>(r.available_bytes) * r.kv_fraction);
  const uint64_t budget =
      r.kv_cache_bytes > 0 ? r.kv_cache_bytes : std::min(share, all * r.block_bytes);
  if (budget > r.available_bytes) {
    return absl::ResourceExhaustedError(
        fmt::format("a KV cache of {} does not fit: {} of memory are available once "
                    "the weights are loaded; lower the worker's kv_cache_mb",
                    megabytes(budget), megabytes(r.available_bytes)));
  }
  const uint64_t blocks =
      std::min(budget / r.block_bytes, kMaxPositions / static_cast<uint64_t>(r.block_tokens));
  if (blocks < one) {
    return absl::ResourceExhaustedError(fmt::format(
        "one sequence of {} tokens needs a KV cache of {}, but only {} are planned for it ({} of "
        "memory are available); "
        "set the worker's kv_cache_mb to {} or more, or its max_model_len to {} or less",
        r.max_len, megabytes(one * r.block_bytes), megabytes(budget), megabytes(r.available_bytes),
        megabytes_up(one * r.block_bytes), blocks * static_cast<uint64_t>(r.block_tokens)));
  }
  return MemoryPlan{r, static_cast<int32_t>(blocks)};
}

std::string describe(const MemoryPlan& plan) {
  const MemoryRequest& r = plan.request;
  const int64_t tokens = int64_t{plan.kv_blocks} * r.block_tokens;
  return fmt::format(
      "memory: weights {}, activations {}, KV cache {} ({} blocks of {} tokens: {} tokens, {:.1f} "
      "sequences of {})",
      megabytes(r.weight_bytes), megabytes(r.scratch_bytes), megabytes(plan.kv_bytes()),
      plan.kv_blocks, r.block_tokens, tokens, static_cast<double>(tokens) / r.max_len, r.max_len);
}

}  // namespace bessemer
