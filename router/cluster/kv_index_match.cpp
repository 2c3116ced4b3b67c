// The readers' side: how much of a chain each worker has.
//
// Since what a worker has of a chain is a beginning of it, the block at a depth tells who has all
// before it. From the first block the depth doubles while somebody is left; those whom a step loses
// have their end within it, where halving finds it. One look at a block answers for all workers, so
// a call takes O(log depth) of them for each different end.
#include <algorithm>

#include "router/cluster/kv_index.h"

namespace bessemer {

void KvIndex::read(uint64_t raw, HolderSet& out) const {
  const uint64_t hash = nonzero(raw);
  const Table& table = *shards_[shard_of(hash)].table.load();
  const Slot& slot = slot_of(table, hash);
  // Again: a free slot may have been taken for another hash meanwhile.
  if (slot.hash.load(std::memory_order_acquire) == hash) read_holders(slot.holders.load(), out);
}

void KvIndex::emit(size_t blocks, const HolderSet& ids, std::vector<KvMatch>& out) const {
  ids.for_each([&](HolderId id) {
    const uint32_t owner = owners_[id].load(std::memory_order_relaxed);
    if (owner != 0) out.push_back({owner - 1, static_cast<int32_t>(blocks)});
  });
}

// All of `ids` have block `low`, none has block `high`.
void KvIndex::resolve(std::span<const uint64_t> chain, size_t low, size_t high,
                      const HolderSet& ids, std::vector<KvMatch>& out) const {
  if (ids.empty()) return;
  if (high - low == 1) return emit(high, ids, out);
  const size_t middle = low + (high - low) / 2;
  HolderSet have;
  read(chain[middle], have);
  have &= ids;
  HolderSet lack = ids;
  lack -= have;
  resolve(chain, low, middle, lack, out);
  resolve(chain, middle, high, have, out);
}

void KvIndex::match(size_t reader, std::span<const uint64_t> chain,
                    std::vector<KvMatch>& out) const {
  if (chain.empty()) return;
  const Epochs::Pin pin(epochs_, reader);
  HolderSet left;
  read(chain[0], left);
  size_t low = 0;
  for (size_t step = 1; !left.empty(); step *= 2) {
    const size_t high = std::min(low + step, chain.size());
    HolderSet have;
    if (high < chain.size()) read(chain[high], have);
    have &= left;
    left -= have;
    resolve(chain, low, high, left, out);
    left = have;
    low = high;
  }
}

}  // namespace bessemer
