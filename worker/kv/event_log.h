// What the prefix cache has gained and lost, for those who mirror it (State.WatchKv): a ring of
// numbered changes, and what is present now.
//
// One writer, the engine's thread; readers on any. The lock is held for one change, or for as many
// as one read or scan asks for.
//
// Invariants
//   L1  Changes are numbered from 1, without a gap; the ring keeps the newest `capacity`.
//   L2  Who applies the changes after n to what was present at n has what is present now: stored
//       puts a hash, removed drops one, cleared drops all.
//   L3  A scan need not be one moment. Begun at change n, in pieces, with all changes after n
//       applied to it in the end, it is what is present now: the last word on every hash is a
//       change, or the hash has been as the scan saw it since n.
//
// Memory: 16 bytes a block, and 24 a change in the ring: 1.5 MiB.
#pragma once
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

namespace bessemer {

struct KvChange {
  enum class Kind : uint8_t { stored, removed, cleared };
  Kind kind{};
  int32_t group = 0;
  uint64_t hash = 0;    // the low half of the block's chain hash
  uint64_t parent = 0;  // stored: that of the block before it, of the chain's root for the first
  bool operator==(const KvChange&) const = default;
};

class KvEventLog {
 public:
  // At 100,000 prompt tokens a second, as many blocks lost as gained, five seconds.
  static constexpr size_t kCapacity = 1 << 16;
  explicit KvEventLog(std::span<const int32_t> blocks_per_group, size_t capacity = kCapacity);

  // The writer. A block is stored once before it is removed or all are cleared.
  void stored(int32_t group, int32_t block, uint64_t hash, uint64_t parent);
  void removed(int32_t group, int32_t block);
  void cleared();

  // Readers.
  struct State {
    uint64_t last = 0;    // number of the newest change; 0: there was none
    uint64_t digest = 0;  // exclusive or of all hashes present, those of group g rotated left by g
    uint64_t count = 0;   // of them
  };
  State state() const;
  // Appends the changes after number `after` to `out`, at most `most`. False: the ring has lost
  // some of them; scan instead.
  bool read(uint64_t after, size_t most, std::vector<KvChange>& out, State& now) const;
  // Appends what is present in the blocks from position `at` on, all groups behind each other, as
  // stored changes; looks at `most` blocks at most. Returns where to go on, 0 at the end.
  size_t scan(size_t at, size_t most, std::vector<KvChange>& out, State& now) const;

 private:
  struct Cell {
    uint64_t hash = 0, parent = 0;
  };
  size_t cell(int32_t group, int32_t block) const;
  void append(const KvChange& change);

  const size_t capacity_;
  std::vector<size_t> group_ends_;  // in cells
  mutable std::mutex mutex_;
  std::vector<Cell> cells_;  // per block
  std::vector<bool> present_;
  std::vector<KvChange> ring_;  // change n lies at (n - 1) % capacity; grows up to it
  State state_;
};

}  // namespace bessemer
