#include "router/cluster/session_table.h"

#include "common/block_hash.h"
#include "router/cluster/worker_source.h"

namespace bessemer {

uint64_t session_key(std::string_view root, std::string_view name) {
  if (name.empty()) return 0;
  // Both are hashed apart, so that no name of one root is another's of another root.
  return content_hash(name).low ^ content_hash(root).high;
}

void SessionTable::note(uint64_t key, uint32_t worker) {
  static_assert(kMaxWorkers < (size_t{1} << kWorkerBits) - 1);
  static_assert(kSlots >= size_t{1} << kWorkerBits, "the slot's number has the bits cut off");
  if (key == 0) return;
  slots_[key % kSlots].store((key >> kWorkerBits << kWorkerBits) | (worker + 1),
                             std::memory_order_relaxed);
}

std::optional<uint32_t> SessionTable::worker_of(uint64_t key) const {
  if (key == 0) return std::nullopt;
  const uint64_t entry = slots_[key % kSlots].load(std::memory_order_relaxed);
  if (entry == 0 || entry >> kWorkerBits != key >> kWorkerBits) return std::nullopt;
  return static_cast<uint32_t>(entry & ((1 << kWorkerBits) - 1)) - 1;
}

}  // namespace bessemer
