// The blocks of one KV group: who owns each, what full ones hold, and when one may be handed out
// again.
//
// A block is in one of four states:
//   free      nobody has it
//   owned     BlockRefs name it
//   retiring  its last owner has left, but a launched step may still touch it
//   cached    nobody owns it, and the index knows what it holds: free for whoever needs room, and
//             owned again for whoever wants what is in it
//
// Invariants
//   K1  free + cached + held = total, held = owned + retiring (E2).
//   K2  A block whose last owner left while steps were launched is not handed out before the last
//       of them has completed (E4): every step in flight is a hold on it, whoever let it go and
//       however. Nor is it cached before that; but it can be owned again.
//   K3  A BlockRef never outlives its pool.
//   K4  Who owns a known block owns those before it in its chain too, and lets go of the last of
//       them first. So the block that has been cached for the longest is always a leaf: eviction
//       in the order of release is leaf-first and least recently used, without any search (E10).
//   K5  A known block is never written: it is full. A fork that would go on in it takes a copy, or
//       makes it unknown where nobody else has it (make_unknown).
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "worker/kv/block_list.h"
#include "worker/kv/event_log.h"
#include "worker/kv/prefix_index.h"

namespace bessemer {

class BlockPool;

// Owns a share of one block. Move-only: sharing is said aloud, by share().
class BlockRef {
 public:
  BlockRef() = default;
  BlockRef(BlockRef&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), id_(std::exchange(other.id_, -1)) {}
  BlockRef& operator=(BlockRef&& other) noexcept {
    reset();
    pool_ = std::exchange(other.pool_, nullptr);
    id_ = std::exchange(other.id_, -1);
    return *this;
  }
  ~BlockRef() { reset(); }

  BlockRef share() const;
  void reset();
  explicit operator bool() const { return pool_ != nullptr; }
  int32_t id() const { return id_; }
  // Nobody else has a share, and nothing known continues the block: it may be written, once it is
  // made unknown.
  bool is_exclusive() const;

 private:
  friend class BlockPool;
  BlockRef(BlockPool* pool, int32_t id) : pool_(pool), id_(id) {}

  BlockPool* pool_ = nullptr;
  int32_t id_ = -1;
};

// What a pool that keeps full blocks needs.
struct BlockCache {
  int32_t block_tokens = 0;  // 0: it keeps nothing
  int32_t group = 0;         // its number in `log`
  KvEventLog* log = nullptr;
};

class BlockPool {
 public:
  explicit BlockPool(int32_t block_count, const BlockCache& cache = {});
  ~BlockPool();  // every BlockRef must be gone
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // Appends `count` blocks to `out`, free ones first, then those cached for the longest; needs
  // available_count() >= count.
  void allocate(int32_t count, std::vector<BlockRef>& out);

  // Steps are numbered from 1 in the order of their launch and complete in it.
  void launched(uint64_t step);
  void completed(uint64_t step);

  // The cache. A known block is one that the index names.
  //
  // kNoBlock, or the known block of this name.
  int32_t find(const BlockName& name) const { return index_.find(name); }
  // A share of a known block, whoever has it.
  BlockRef adopt(int32_t block);
  // Makes what `block` holds known, and returns it; or, where another block of this name is known
  // already, a share of that one, and `block` is let go. `block` is full and computed for good: its
  // step has completed without a fault. Its owner owns name.parent.
  BlockRef enter(BlockRef block, const BlockName& name, uint64_t parent_hash);
  // Nobody will find `block`, which is exclusive, by what it holds. Nothing if it was not known.
  void make_unknown(const BlockRef& block);
  // The device has lost what the blocks held. The log is told by the caller, once for all pools.
  void clear_cache();
  bool is_known(int32_t block) const { return index_.contains(block); }
  bool is_cached(int32_t block) const { return cached_.contains(block); }
  bool is_retiring(int32_t block) const { return retiring_.contains(block); }
  const PrefixIndex& index() const { return index_; }

  int32_t total() const { return static_cast<int32_t>(owners_.size()); }
  int32_t free_count() const { return static_cast<int32_t>(free_.size()); }
  int32_t cached_count() const { return cached_.size(); }
  // What allocate() can give.
  int32_t available_count() const { return free_count() + cached_count(); }
  int32_t retiring_count() const { return retiring_.size(); }
  int32_t held_count() const { return total() - available_count(); }
  int32_t owned_count() const { return owned_; }
  // For checks: nobody has these, and nobody wants what is in them.
  const std::vector<int32_t>& free_blocks() const { return free_; }

  // Recounts everything and stops the process where K1 or K4 is broken. O(total).
  void check() const;

 private:
  friend class BlockRef;
  void release(int32_t block);  // the last owner left
  void settle(int32_t block);   // and no step can touch it any more
  void evict();

  const BlockCache cache_;
  PrefixIndex index_;
  std::vector<int32_t> owners_;         // per block
  std::vector<uint64_t> retires_with_;  // per block; of retiring ones, the step that is waited for
  std::vector<int32_t> free_;           // last in, first out: what was used lately is warm
  BlockList retiring_, cached_;         // in the order of release
  int32_t owned_ = 0;
  uint64_t launched_ = 0, completed_ = 0;
};

}  // namespace bessemer
