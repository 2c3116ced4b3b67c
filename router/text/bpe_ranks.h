// The merges of a byte-level BPE vocabulary: pair of symbols -> rank and product.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "router/text/bpe_merge.h"
#include "router/text/tokenizer_vocabulary.h"

namespace bessemer {

// A symbol's id is its token's; symbols that merges name but the vocabulary lacks get ids from
// vocabulary.size() up.
class BpeRanks {
 public:
  // `merges`: "left right", by rank. InvalidArgument names the entry that is not two symbols.
  static StatusOr<BpeRanks> create(const TokenizerVocabulary& vocabulary,
                                   const google::protobuf::RepeatedPtrField<std::string>& merges);

  BpePair find(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    for (size_t at = slot_of(key);; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.key == key) return slot.pair;
      if (slot.key == kFree) return {};
    }
  }

  // The symbol that a byte starts as.
  int32_t byte_symbol(uint8_t byte) const { return byte_symbols_[byte]; }
  // The token of a byte; -1: the vocabulary has none, and the byte cannot be told.
  int32_t byte_token(uint8_t byte) const {
    return is_token(byte_symbols_[byte]) ? byte_symbols_[byte] : -1;
  }
  bool is_token(int32_t symbol) const { return symbol < tokens_; }

 private:
  struct Slot {
    uint64_t key = kFree;
    BpePair pair;
  };
  static constexpr uint64_t kFree = ~uint64_t{0};

  BpeRanks(int32_t tokens, size_t merges);
  void insert(int32_t left, int32_t right, BpePair pair);

  static uint64_t key_of(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  // Fibonacci hashing: the high bits of a product with 2^64 / phi are well mixed.
  size_t slot_of(uint64_t key) const { return key * 0x9E3779B97F4A7C15 >> shift_; }

  int32_t tokens_;
  std::array<int32_t, 256> byte_symbols_{};
  int shift_;
  size_t mask_;
  std::vector<Slot> slots_;  // a power of two, at most half full
};

}  // namespace bessemer
