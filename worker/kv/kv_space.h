// The pools of all KV groups as one space: a sequence's rows need blocks in every group, so room is
// given in all or in none.
#pragma once
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "worker/kv/block_pool.h"

namespace bessemer {

struct KvGroupSize {
  int32_t block_tokens = 0, block_count = 0;
};

// The blocks of one sequence, one table per group. Rows [0, blocks.size() * block_tokens) have
// their place.
struct KvTable {
  struct Group {
    std::vector<BlockRef> blocks;
    // A fork's: the block behind `blocks`, whose first rows are shared. The first row to be written
    // there makes it the sequence's own, by a copy, or as it is when nobody else has a share any
    // more.
    BlockRef partial;
  };
  std::vector<Group> groups;

  bool empty() const;  // owns no share of any block
  void clear();
};

// Copy block `from` to block `to` before the step's rows are computed. The ref is the hold on the
// source: keep it until the step has completed.
struct CopyOnWrite {
  int32_t group = 0;
  BlockRef from;
  int32_t to = -1;
};

enum class Room : uint8_t {
  now,    // enough is free
  later,  // enough will be, once the launched steps have completed
  none,   // somebody has to give up blocks first
};

class KvSpace {
 public:
  explicit KvSpace(std::span<const KvGroupSize> groups);

  KvTable make_table() const;
  // Whether `table` can grow to `rows` rows and leave `headroom` blocks free in every group.
  Room room_for(const KvTable& table, int32_t rows, int32_t headroom = 0) const;
  // Needs room_for(table, rows) == now. Copies that the step must make are appended to `copies`.
  void grow(KvTable& table, int32_t rows, std::vector<CopyOnWrite>& copies);
  // A table that shares the first `rows` rows of `owner`: full blocks as they are, the rest as
  // `partial`.
  KvTable fork(const KvTable& owner, int32_t rows) const;

  void launched(uint64_t step);
  void completed(uint64_t step);

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
    Pool(int32_t tokens, int32_t count) : block_tokens(tokens), blocks(count) {}
    int32_t block_tokens;
    BlockPool blocks;
  };
  int32_t blocks_missing(const Pool& pool, const KvTable::Group& group, int32_t rows) const;

  std::deque<Pool> pools_;  // stable addresses: refs point at their pool
};

constexpr int32_t blocks_for(int32_t rows, int32_t block_tokens) {
  return (rows + block_tokens - 1) / block_tokens;
}

}  // namespace bessemer
