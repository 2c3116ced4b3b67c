// A set of the numbers under which the prefix index knows workers: one bit each.
#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "router/cluster/worker_source.h"

namespace bessemer {

using HolderId = uint16_t;
constexpr size_t kHolderIds = 2 * kMaxWorkers;  // kv_index.h says why

class HolderSet {
 public:
  static constexpr size_t kWords = kHolderIds / 64;

  static HolderSet all() {
    HolderSet set;
    set.words_.fill(UINT64_MAX);
    return set;
  }
  void add(HolderId id) { words_[id / 64] |= bit(id); }
  void remove(HolderId id) { words_[id / 64] &= ~bit(id); }
  void add_word(size_t index, uint64_t bits) { words_[index] |= bits; }
  bool contains(HolderId id) const { return (words_[id / 64] & bit(id)) != 0; }
  uint64_t word(size_t index) const { return words_[index]; }
  bool empty() const { return *this == HolderSet(); }
  std::optional<HolderId> first() const {
    for (size_t i = 0; i < kWords; i++) {
      if (words_[i] != 0)
        return static_cast<HolderId>(i * 64 + static_cast<size_t>(std::countr_zero(words_[i])));
    }
    return std::nullopt;
  }
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (size_t i = 0; i < kWords; i++) {
      for (uint64_t left = words_[i]; left != 0; left &= left - 1)
        visit(static_cast<HolderId>(i * 64 + static_cast<size_t>(std::countr_zero(left))));
    }
  }
  HolderSet& operator|=(const HolderSet& other) {
    for (size_t i = 0; i < kWords; i++) words_[i] |= other.words_[i];
    return *this;
  }
  HolderSet& operator&=(const HolderSet& other) {
    for (size_t i = 0; i < kWords; i++) words_[i] &= other.words_[i];
    return *this;
  }
  HolderSet& operator-=(const HolderSet& other) {
    for (size_t i = 0; i < kWords; i++) words_[i] &= ~other.words_[i];
    return *this;
  }
  bool operator==(const HolderSet&) const = default;

 private:
  static constexpr uint64_t bit(HolderId id) { return uint64_t{1} << (id % 64); }
  std::array<uint64_t, kWords> words_{};
};

}  // namespace bessemer
