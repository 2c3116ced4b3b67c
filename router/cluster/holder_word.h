// The workers of one block in the 64 bits of a slot: up to five lie in the word, more in a bit set
// behind it. One writer changes words, readers on any thread read them.
//
//   bit 0 clear: five fields of 12 bits from bit 4 on, each a worker's number + 1, or 0
//   bit 0 set:   the address of a HolderBits, which is even
//
// A bit set that a changed word does not lead to any more is the caller's garbage (epochs.h).
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "router/cluster/holder_set.h"

namespace bessemer {

constexpr int kInlineHolders = 5;

// As many bits as the largest number in it needs; grows by being copied.
class HolderBits {
 public:
  explicit HolderBits(size_t words)
      : words_(words), bits_(std::make_unique<std::atomic<uint64_t>[]>(words)) {}
  size_t words() const { return words_; }
  uint64_t word(size_t index) const { return bits_[index].load(std::memory_order_relaxed); }
  void set_word(size_t index, uint64_t bits) {
    bits_[index].store(bits, std::memory_order_relaxed);
  }
  // With what the allocator takes for two pieces.
  size_t bytes() const { return words_ * sizeof(uint64_t) + sizeof(*this) + 32; }

 private:
  const size_t words_;
  const std::unique_ptr<std::atomic<uint64_t>[]> bits_;
};

// What a word has become; `garbage` is what it led to and does no more, or null.
struct HolderChange {
  uint64_t word = 0;
  std::shared_ptr<const HolderBits> garbage;
  int64_t bytes = 0;  // gained (or lost) behind the word
};

// Any thread, under a pin: adds the word's workers to `out`.
void read_holders(uint64_t word, HolderSet& out);
// The writer. Of one who is not in it; of one who is; of all who are in `gone`.
bool is_holder(uint64_t word, HolderId id);
HolderChange with_holder(uint64_t word, HolderId id);
HolderChange without_holder(uint64_t word, HolderId id);
HolderChange without_holders(uint64_t word, const HolderSet& gone);
// Frees what the word leads to, when nobody reads any more.
void free_holders(uint64_t word);

}  // namespace bessemer
