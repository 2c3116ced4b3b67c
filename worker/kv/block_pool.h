// The blocks of one KV group: who owns each, and when it may be handed out again.
//
// A block is held while a BlockRef names it or while a launched step may still touch it (retiring);
// else it is free.
//
// Invariants
//   K1  free + cached + held = total, held = owned + retiring (E2). Nothing is cached until the
//       prefix index exists: it will keep what release() would free, and give up its leaves in
//       allocate().
//   K2  A block whose last owner left while steps were launched is not handed out before the last
//       of them has completed (E4): every step in flight is a hold on it, whoever let it go and
//       however.
//   K3  A BlockRef never outlives its pool.
#pragma once
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

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
  bool is_only_owner() const;

 private:
  friend class BlockPool;
  BlockRef(BlockPool* pool, int32_t id) : pool_(pool), id_(id) {}

  BlockPool* pool_ = nullptr;
  int32_t id_ = -1;
};

class BlockPool {
 public:
  explicit BlockPool(int32_t block_count);
  ~BlockPool();  // every BlockRef must be gone
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // Appends `count` blocks to `out`; needs free_count() >= count.
  void allocate(int32_t count, std::vector<BlockRef>& out);

  // Steps are numbered from 1 in the order of their launch and complete in it.
  void launched(uint64_t step);
  void completed(uint64_t step);

  int32_t total() const { return static_cast<int32_t>(owners_.size()); }
  int32_t free_count() const { return static_cast<int32_t>(free_.size()); }
  int32_t retiring_count() const { return static_cast<int32_t>(retiring_.size()); }
  int32_t cached_count() const { return 0; }
  int32_t held_count() const { return total() - free_count() - cached_count(); }
  int32_t owned_count() const { return owned_; }
  // For checks: nobody has these.
  const std::vector<int32_t>& free_blocks() const { return free_; }

  // Recounts everything and stops the process where K1 is broken. O(total).
  void check() const;

 private:
  friend class BlockRef;
  struct Retiring {
    uint64_t step;
    int32_t block;
  };
  void release(int32_t block);  // the last owner left

  std::vector<int32_t> owners_;    // per block
  std::vector<int32_t> free_;      // last in, first out: what was used lately is warm
  std::deque<Retiring> retiring_;  // by step
  int32_t owned_ = 0;
  uint64_t launched_ = 0, completed_ = 0;
};

}  // namespace bessemer
