// The pools of all KV groups as one space: a sequence's rows need blocks in every group, so room is
// given in all or in none, and a prefix is found only where every group still has it.
#pragma once
#include <cstdint>
#include <deque>
#include <span>
#include <string_view>
#include <vector>

#include "worker/kv/block_pool.h"

namespace bessemer {

struct KvGroupSize {
  int32_t block_tokens = 0, block_count = 0;
};

struct PrefixCacheOptions {
  bool on = false;
  uint64_t hash_domain = 0;  // the model card's
  ChainHash hash = chain;    // tests take one whose values fall together
  size_t log_capacity = KvEventLog::kCapacity;
};

// The blocks of one sequence, one table per group. Rows [0, blocks.size() * block_tokens) have
// their place. Lets go of the last block first (K4), however it lets go.
struct KvTable {
  struct Group {
    std::vector<BlockRef> blocks;
    // A fork's: the block behind `blocks`, whose first rows are shared. The first row to be written
    // there makes it the sequence's own, by a copy, or as it is when nobody else has a share any
    // more.
    BlockRef partial;
  };
  std::vector<Group> groups;
  int32_t entered = 0;  // so many first blocks of every group are known to the cache

  KvTable() = default;
  KvTable(KvTable&& other) noexcept
      : groups(std::move(other.groups)), entered(std::exchange(other.entered, 0)) {}
  KvTable& operator=(KvTable&& other) noexcept {
    clear();
    groups = std::move(other.groups);
    entered = std::exchange(other.entered, 0);
    return *this;
  }
  ~KvTable() { clear(); }

  bool empty() const;  // owns no share of any block
  void clear();
};

// Copy block `from` to block `to` before the step's rows are computed. The ref is the hold on the
// source: keep it until the step has been launched, which then is one (K2).
struct CopyOnWrite {
  int32_t group = 0;
  BlockRef from;
  int32_t to = -1;
};

enum class Room : uint8_t {
  now,    // enough is free, or cached
  later,  // enough will be, once the launched steps have completed
  none,   // somebody has to give up blocks first
};

// A history as the cache looks it up: `hashes` are those of its first full blocks, and no more
// blocks than that are looked for.
struct PrefixKey {
  std::string_view root;
  std::span<const int32_t> ids;
  std::span<const BlockHash> hashes;
};
// A prefix that every group has; valid until blocks are allocated or the cache is cleared.
struct PrefixMatch {
  int32_t blocks = 0;                        // in each group
  std::vector<std::vector<int32_t>> groups;  // their ids
};
// A table's block that gave way to an equal one.
struct Replaced {
  int32_t group = 0, at = 0;
  int32_t from = -1, to = -1;  // blocks
};

class KvSpace {
 public:
  explicit KvSpace(std::span<const KvGroupSize> groups, const PrefixCacheOptions& cache = {});

  KvTable make_table() const;
  // Whether `table` can grow to `rows` rows and leave `headroom` blocks in every group. `found`, if
  // any, is what an empty `table` would adopt first.
  Room room_for(const KvTable& table, int32_t rows, int32_t headroom = 0,
                const PrefixMatch& found = {}) const;
  // Needs room_for(table, rows) == now. Copies that the step must make are appended to `copies`.
  void grow(KvTable& table, int32_t rows, std::vector<CopyOnWrite>& copies);
  // A table that shares the first `rows` rows of `owner`: full blocks as they are, the rest as
  // `partial`.
  KvTable fork(const KvTable& owner, int32_t rows) const;

  void launched(uint64_t step);
  void completed(uint64_t step);

  // The prefix cache. It is off unless it was asked for and all groups have blocks of one size: the
  // model card has one block_tokens, which the chain's hashes are made with.
  bool caches() const { return caches_; }
  int32_t block_tokens() const { return pools_.front().block_tokens; }  // where caches()
  // Hashes of the full blocks of `ids`.
  std::vector<BlockHash> hashes_of(std::string_view root, std::span<const int32_t> ids) const;
  PrefixMatch find(const PrefixKey& key) const;
  // `table` is empty; afterwards it begins with what was found.
  void adopt(KvTable& table, const PrefixMatch& found);
  // Makes block number `table.entered` of every group known: it holds `ids`, and the steps that
  // computed its rows have completed without a fault. Where an equal block is known already, `table`
  // gets that one, and `replaced` says so.
  void enter(KvTable& table, std::string_view root, std::span<const int32_t> ids,
             std::vector<Replaced>& replaced);
  // The same in a table that shares the block: whoever owns what comes after a block must own the
  // one that is known (K4). False: it does not share it.
  bool replace(KvTable& table, const Replaced& replaced);
  // What `table` holds is doubted: as much of it as nobody else has or continues is forgotten.
  void forget(KvTable& table);
  // Everything is gone. No table may have entered blocks.
  void clear_cache();
  // May be read on any thread.
  const KvEventLog& events() const { return log_; }

  int32_t group_count() const { return static_cast<int32_t>(pools_.size()); }
  const BlockPool& pool(int32_t group) const { return pools_[static_cast<size_t>(group)].blocks; }
  // Sums over all groups.
  int32_t free_count() const;
  int32_t held_count() const;
  int32_t cached_count() const;
  int32_t total() const;
  void check() const;

 private:
  struct Pool {
    Pool(int32_t tokens, int32_t count, const BlockCache& cache)
        : block_tokens(tokens), blocks(count, cache) {}
    int32_t block_tokens;
    BlockPool blocks;
  };
  int32_t blocks_missing(const Pool& pool, const KvTable::Group& group, int32_t rows) const;
  std::vector<int32_t> find_in(const BlockPool& pool, const PrefixKey& key) const;

  const PrefixCacheOptions cache_;
  const bool caches_;
  KvEventLog log_;
  std::deque<Pool> pools_;  // stable addresses: refs point at their pool
};

constexpr int32_t blocks_for(int32_t rows, int32_t block_tokens) {
  return (rows + block_tokens - 1) / block_tokens;
}

}  // namespace bessemer
