#include "router/cluster/holder_word.h"

#include <algorithm>
#include <bit>

namespace bessemer {
namespace {

constexpr int kFieldBits = 12, kFirstField = 4;
constexpr uint64_t kFieldMask = (uint64_t{1} << kFieldBits) - 1;
static_assert(kFirstField + kInlineHolders * kFieldBits <= 64);
static_assert(kHolderIds <= kFieldMask);
// A set this small goes back into the word: less than kInlineHolders, so that one who comes and
// goes does not make it change shape each time.
constexpr int kFewHolders = 3;

bool is_inline(uint64_t word) {
  return word % 2 == 0;
}
HolderBits* bits_of(uint64_t word) {
  return reinterpret_cast<HolderBits*>(static_cast<uintptr_t>(word - 1));
}
uint64_t word_of(const HolderBits* bits) {
  return static_cast<uint64_t>(reinterpret_cast<uintptr_t>(bits)) + 1;
}
uint64_t field(uint64_t word, int index) {
  return (word >> (kFirstField + index * kFieldBits)) & kFieldMask;
}
uint64_t in_field(uint64_t value, int index) {
  return value << (kFirstField + index * kFieldBits);
}

int field_of(uint64_t word, uint64_t value) {
  for (int i = 0; i < kInlineHolders; i++) {
    if (field(word, i) == value) return i;
  }
  return -1;
}

// A word of a few.
uint64_t pack(const HolderSet& ids) {
  uint64_t word = 0;
  int index = 0;
  ids.for_each([&](HolderId id) { word |= in_field(uint64_t{id} + 1, index++); });
  return word;
}

HolderBits* make_bits(const HolderSet& ids) {
  size_t words = HolderSet::kWords;
  while (ids.word(words - 1) == 0) words--;
  auto* bits = new HolderBits(words);
  for (size_t i = 0; i < words; i++) bits->set_word(i, ids.word(i));
  return bits;
}

int count(const HolderBits& bits) {
  int sum = 0;
  for (size_t i = 0; i < bits.words(); i++) sum += std::popcount(bits.word(i));
  return sum;
}

// `word`, which leads to bits, is replaced by `next`.
HolderChange replaced(uint64_t word, uint64_t next) {
  HolderChange change{next, std::shared_ptr<const HolderBits>(bits_of(word)), 0};
  change.bytes = -static_cast<int64_t>(change.garbage->bytes());
  if (!is_inline(next)) change.bytes += static_cast<int64_t>(bits_of(next)->bytes());
  return change;
}

HolderChange shrunk_if_few(uint64_t word) {
  if (count(*bits_of(word)) > kFewHolders) return {word, nullptr, 0};
  HolderSet ids;
  read_holders(word, ids);
  return replaced(word, pack(ids));
}

HolderChange with_holder_inline(uint64_t word, HolderId id) {
  if (const int free = field_of(word, 0); free >= 0)
    return {word | in_field(uint64_t{id} + 1, free), nullptr, 0};
  HolderSet ids;
  read_holders(word, ids);
  ids.add(id);
  const HolderBits* bits = make_bits(ids);
  return {word_of(bits), nullptr, static_cast<int64_t>(bits->bytes())};
}

}  // namespace

void read_holders(uint64_t word, HolderSet& out) {
  if (is_inline(word)) {
    for (int i = 0; i < kInlineHolders; i++) {
      if (const uint64_t value = field(word, i); value != 0)
        out.add(static_cast<HolderId>(value - 1));
    }
    return;
  }
  const HolderBits& bits = *bits_of(word);
  for (size_t i = 0; i < bits.words(); i++) out.add_word(i, bits.word(i));
}

bool is_holder(uint64_t word, HolderId id) {
  if (is_inline(word)) return field_of(word, uint64_t{id} + 1) >= 0;
  const HolderBits& bits = *bits_of(word);
  return id / 64u < bits.words() && (bits.word(id / 64u) >> (id % 64u)) % 2 != 0;
}

HolderChange with_holder(uint64_t word, HolderId id) {
  if (is_inline(word)) return with_holder_inline(word, id);
  HolderBits& bits = *bits_of(word);
  if (id / 64u < bits.words()) {
    bits.set_word(id / 64u, bits.word(id / 64u) | uint64_t{1} << (id % 64u));
    return {word, nullptr, 0};
  }
  HolderSet ids;
  read_holders(word, ids);
  ids.add(id);
  return replaced(word, word_of(make_bits(ids)));
}

HolderChange without_holder(uint64_t word, HolderId id) {
  if (is_inline(word)) {
    const int index = field_of(word, uint64_t{id} + 1);
    return {word & ~in_field(kFieldMask, index), nullptr, 0};
  }
  HolderBits& bits = *bits_of(word);
  bits.set_word(id / 64u, bits.word(id / 64u) & ~(uint64_t{1} << (id % 64u)));
  return shrunk_if_few(word);
}

HolderChange without_holders(uint64_t word, const HolderSet& gone) {
  if (is_inline(word)) {
    uint64_t left = word;
    for (int i = 0; i < kInlineHolders; i++) {
      const uint64_t value = field(word, i);
      if (value != 0 && gone.contains(static_cast<HolderId>(value - 1)))
        left &= ~in_field(kFieldMask, i);
    }
    return {left, nullptr, 0};
  }
  HolderBits& bits = *bits_of(word);
  for (size_t i = 0; i < bits.words(); i++) bits.set_word(i, bits.word(i) & ~gone.word(i));
  return shrunk_if_few(word);
}

void free_holders(uint64_t word) {
  if (!is_inline(word)) delete bits_of(word);
}

}  // namespace bessemer
