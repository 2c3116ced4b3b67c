// Which workers have which blocks in their prefix caches: the hashes that WatchKv says, as a flat
// table from hash to the set of workers, and the longest prefix of a prompt that each worker has.
//
// One writer; readers on as many threads as were announced, who take no lock and write to nothing
// that others read (epochs.h).
//
// Invariants
//   I1  match() says of a worker how long a beginning of the chain it has, if what it has is
//       prefix-closed (E10). What is changed during the call may be seen or not; a wrong answer
//       mis-routes and nothing worse.
//   I2  Whoever has been dropped is in no match from then on; what it had is swept out piece by
//       piece while the writer goes on, in one pass over the table for all dropped before it.
//   I3  A slot belongs to one hash for as long as its table lives; a hash that nobody has any more
//       leaves when its shard is built anew.
//   I4  bytes() never exceeds the limit: beyond it store() answers no_room and changes nothing.
//
// Memory: 16 bytes a slot. A shard is built anew, with 0.70 of its slots taken, once 0.85 are: 18.8
// to 22.9 bytes a hash while caches grow or churn. It is built smaller when less than 0.35 are in
// use: up to 46 after caches have shrunk. Up to five workers of a hash lie in its slot; more are a
// set of one bit a worker. There are no lists: what a dropped worker had needs not to be found.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "router/cluster/epochs.h"
#include "router/cluster/holder_word.h"

namespace bessemer {

// 1,000 workers of 62k blocks each (CLUSTER.md), at 24 bytes.
constexpr size_t kMaxKvIndexBytes = size_t{3} << 29;

struct KvMatch {
  uint32_t worker = 0;
  int32_t blocks = 0;  // of the chain's beginning; at least one
};

class KvIndex {
 public:
  // `seed` keeps those who choose prompts from choosing where their blocks lie.
  KvIndex(size_t readers, uint64_t seed, size_t max_bytes = kMaxKvIndexBytes);
  ~KvIndex();
  KvIndex(const KvIndex&) = delete;
  KvIndex& operator=(const KvIndex&) = delete;

  // ---- the writer ----
  enum class Stored : uint8_t { added, present, no_room };
  Stored store(uint32_t worker, uint64_t hash);
  bool remove(uint32_t worker, uint64_t hash);  // false: it was not there
  // All that the worker has, at once (I2).
  void drop(uint32_t worker);
  // A step of the sweeping; frees what readers have let go of. To be called after each batch of
  // changes, and while it returns true: there is more to do.
  bool tidy();
  // Exclusive or of the worker's hashes, and how many there are.
  uint64_t digest(uint32_t worker) const { return workers_[worker].digest; }
  size_t count(uint32_t worker) const { return workers_[worker].count; }

  // ---- any thread ----
  // Appends those who have the first block of the chain, in no order. `reader`: one call at a time
  // for each, below the number announced.
  void match(size_t reader, std::span<const uint64_t> chain, std::vector<KvMatch>& out) const;
  size_t pairs() const { return pairs_.load(std::memory_order_relaxed); }  // of (block, worker)
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Slot {
    std::atomic<uint64_t> hash{0};  // 0: nobody's yet (I3)
    std::atomic<uint64_t> holders{0};
  };
  struct Table {
    explicit Table(size_t size) : slots(size) {}
    std::vector<Slot> slots;
    size_t bytes() const { return slots.size() * sizeof(Slot) + sizeof(Table); }
  };
  struct Shard {
    std::atomic<Table*> table{nullptr};  // set by the constructor, never null after it
    size_t used = 0;                     // slots that belong to a hash
    size_t live = 0;                     // of them, those with holders, dropped ones among them
  };
  // 0 marks a free slot.
  static uint64_t nonzero(uint64_t hash) { return hash == 0 ? 1 : hash; }
  // A dropped worker that comes back gets a new id; the old one is free after the sweep. So there
  // are twice as many as workers.
  struct Worker {
    std::optional<HolderId> id;
    uint64_t digest = 0;
    size_t count = 0;
  };
  static constexpr size_t kShards = 256;  // a shard of a 1 GiB index is built anew in some 10 ms

  uint64_t spread(uint64_t hash) const { return hash * multiplier_; }
  size_t shard_of(uint64_t hash) const { return spread(hash) >> 56; }
  // The hash's slot, or the free one where it would be; the shard has been chosen by the top bits.
  template <typename TableType>
  auto& slot_of(TableType& table, uint64_t hash) const {
    const size_t size = table.slots.size();
    size_t at = static_cast<size_t>(((spread(hash) >> 24 & UINT32_MAX) * size) >> 32);
    while (true) {
      const uint64_t found = table.slots[at].hash.load(std::memory_order_acquire);
      if (found == hash || found == 0) return table.slots[at];
      if (++at == size) at = 0;
    }
  }

  void read(uint64_t hash, HolderSet& out) const;
  void emit(size_t blocks, const HolderSet& ids, std::vector<KvMatch>& out) const;
  void resolve(std::span<const uint64_t> chain, size_t low, size_t high, const HolderSet& ids,
               std::vector<KvMatch>& out) const;

  HolderId take_id(uint32_t worker);
  Slot* claim(uint64_t hash);
  void apply(Shard& shard, Slot& slot, HolderChange change);
  void sweep(Shard& shard);
  bool rebuild(Shard& shard, size_t room_for);
  void account(int64_t bytes);

  const uint64_t multiplier_;
  const size_t max_bytes_;
  Epochs epochs_;
  std::array<Shard, kShards> shards_;
  std::vector<Worker> workers_ = std::vector<Worker>(kMaxWorkers);
  HolderSet free_ = HolderSet::all(), dropped_, sweeping_;  // the other ids are workers'
  size_t sweep_at_ = 0;                                     // the next shard of the pass
  std::array<std::atomic<uint32_t>, kHolderIds> owners_{};  // by id: worker + 1, or 0
  std::atomic<size_t> pairs_{0}, bytes_{0};
};

}  // namespace bessemer
