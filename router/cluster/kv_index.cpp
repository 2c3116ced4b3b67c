// The writer's side; kv_index_match.cpp has the readers'.
#include "router/cluster/kv_index.h"

#include <algorithm>

namespace bessemer {
namespace {

constexpr double kFullest = 0.85, kBuilt = 0.70, kEmptiest = 0.35;
constexpr size_t kFewestSlots = 16;  // 64 KiB in all shards

// Of what a slot leads to, before and after a change.
constexpr size_t kMostHolderBytes = 2 * (kHolderIds / 8 + 64);

size_t slots_for(size_t hashes) {
  return std::max(kFewestSlots, static_cast<size_t>(static_cast<double>(hashes) / kBuilt) + 1);
}
bool is_full(size_t used, size_t slots) {
  return static_cast<double>(used) > kFullest * static_cast<double>(slots);
}
bool is_empty(size_t live, size_t slots) {
  return slots > kFewestSlots && static_cast<double>(live) < kEmptiest * static_cast<double>(slots);
}

}  // namespace

KvIndex::KvIndex(size_t readers, uint64_t seed, size_t max_bytes)
    : multiplier_(seed | 1), max_bytes_(max_bytes), epochs_(readers) {
  account(sizeof *this);
  for (Shard& shard : shards_) {
    shard.table = new Table(kFewestSlots);
    account(static_cast<int64_t>(shard.table.load()->bytes()));
  }
}

KvIndex::~KvIndex() {
  for (Shard& shard : shards_) {
    const std::unique_ptr<Table> table(shard.table.load());
    for (Slot& slot : table->slots) free_holders(slot.holders);
  }
}

void KvIndex::account(int64_t bytes) {
  bytes_.store(bytes_.load(std::memory_order_relaxed) + static_cast<size_t>(bytes),
               std::memory_order_relaxed);
}

KvIndex::Stored KvIndex::store(uint32_t worker, uint64_t raw) {
  const uint64_t hash = nonzero(raw);
  const HolderId id = take_id(worker);
  Slot* slot = claim(hash);
  if (slot == nullptr || bytes() + kMostHolderBytes > max_bytes_) return Stored::no_room;
  const uint64_t before = slot->holders.load(std::memory_order_relaxed);
  if (is_holder(before, id)) return Stored::present;
  apply(shards_[shard_of(hash)], *slot, with_holder(before, id));
  workers_[worker].digest ^= raw;
  workers_[worker].count++;
  pairs_.store(pairs() + 1, std::memory_order_relaxed);
  return Stored::added;
}

bool KvIndex::remove(uint32_t worker, uint64_t raw) {
  const uint64_t hash = nonzero(raw);
  Worker& known = workers_[worker];
  Shard& shard = shards_[shard_of(hash)];
  Table& table = *shard.table.load(std::memory_order_relaxed);
  Slot& slot = slot_of(table, hash);
  const uint64_t before = slot.holders.load(std::memory_order_relaxed);
  if (!known.id || !is_holder(before, *known.id)) return false;
  apply(shard, slot, without_holder(before, *known.id));
  known.digest ^= raw;
  known.count--;
  pairs_.store(pairs() - 1, std::memory_order_relaxed);
  if (is_empty(shard.live, table.slots.size())) rebuild(shard, shard.live);
  return true;
}

void KvIndex::drop(uint32_t worker) {
  Worker& known = workers_[worker];
  if (!known.id) return;
  owners_[*known.id].store(0, std::memory_order_relaxed);
  dropped_.add(*known.id);
  pairs_.store(pairs() - known.count, std::memory_order_relaxed);
  known = Worker();
}

// The lowest free one, which keeps the bit sets short.
HolderId KvIndex::take_id(uint32_t worker) {
  Worker& known = workers_[worker];
  if (known.id) return *known.id;
  while (free_.empty()) tidy();
  known.id = free_.first();
  free_.remove(*known.id);
  owners_[*known.id].store(worker + 1, std::memory_order_relaxed);
  return *known.id;
}

bool KvIndex::tidy() {
  epochs_.collect();
  if (sweep_at_ == 0) {
    sweeping_ = dropped_;
    dropped_ = HolderSet();
  }
  if (sweeping_.empty()) return epochs_.uncollected() > 0;
  sweep(shards_[sweep_at_]);
  if (++sweep_at_ == kShards) {
    free_ |= sweeping_;
    sweeping_ = HolderSet();
    sweep_at_ = 0;
  }
  return true;
}

// The slot that belongs to the hash from now on; null: there is no room for more.
KvIndex::Slot* KvIndex::claim(uint64_t hash) {
  Shard& shard = shards_[shard_of(hash)];
  Table* table = shard.table.load(std::memory_order_relaxed);
  Slot* slot = &slot_of(*table, hash);
  if (slot->hash.load(std::memory_order_relaxed) == hash) return slot;
  if (is_full(shard.used + 1, table->slots.size())) {
    if (!rebuild(shard, shard.live + 1)) return nullptr;
    slot = &slot_of(*shard.table.load(std::memory_order_relaxed), hash);
  }
  shard.used++;
  slot->hash.store(hash, std::memory_order_release);
  return slot;
}

void KvIndex::apply(Shard& shard, Slot& slot, HolderChange change) {
  const uint64_t before = slot.holders.load(std::memory_order_relaxed);
  if (before == 0 && change.word != 0) shard.live++;
  if (before != 0 && change.word == 0) shard.live--;
  slot.holders.store(change.word);
  account(change.bytes);
  if (change.garbage) epochs_.retire(std::move(change.garbage));
}

// Takes those who were dropped out of the shard.
void KvIndex::sweep(Shard& shard) {
  HolderSet gone = dropped_;
  gone |= sweeping_;
  Table& table = *shard.table.load(std::memory_order_relaxed);
  for (Slot& slot : table.slots) {
    const uint64_t word = slot.holders.load(std::memory_order_relaxed);
    if (word != 0) apply(shard, slot, without_holders(word, gone));
  }
  if (is_empty(shard.live, table.slots.size())) rebuild(shard, shard.live);
}

// A new table with room for that many hashes, the shard's own among them. False: it would be too
// large. The old one stays as it is, for those who read it.
bool KvIndex::rebuild(Shard& shard, size_t room_for) {
  Table* old = shard.table.load(std::memory_order_relaxed);
  auto table = std::make_unique<Table>(slots_for(room_for));
  const int64_t more = static_cast<int64_t>(table->bytes()) - static_cast<int64_t>(old->bytes());
  if (more > 0 && bytes() + static_cast<size_t>(more) > max_bytes_) return false;
  shard.used = 0;
  for (const Slot& from : old->slots) {
    const uint64_t word = from.holders.load(std::memory_order_relaxed);
    if (word == 0) continue;
    const uint64_t hash = from.hash.load(std::memory_order_relaxed);
    Slot& to = slot_of(*table, hash);
    to.hash.store(hash, std::memory_order_relaxed);
    to.holders.store(word, std::memory_order_relaxed);
    shard.used++;
  }
  shard.table.store(table.release());
  account(more);
  epochs_.retire(std::shared_ptr<const Table>(old));
  return true;
}

}  // namespace bessemer
