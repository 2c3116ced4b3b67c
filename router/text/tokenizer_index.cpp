#include "router/text/tokenizer_index.h"

#include <bit>

#define XXH_INLINE_ALL  // the keys are a few bytes long: a call would cost as much as the hash
#include <xxhash.h>

#include "common/check.h"

namespace bessemer {

StringIndex::StringIndex(size_t strings, size_t bytes) : slots_(std::bit_ceil(strings * 2 + 1)) {
  bytes_.reserve(bytes);
  ends_.reserve(strings + 1);
}

size_t StringIndex::locate(std::string_view string, uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  const auto tag = static_cast<uint32_t>(hash >> 32);
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.number < 0 || (slot.tag == tag && (*this)[slot.number] == string)) return at;
  }
}

int32_t StringIndex::add(std::string_view string, bool findable) {
  const int32_t number = size();
  CHECK(static_cast<size_t>(number) * 2 < slots_.size());
  if (findable) {
    const uint64_t hash = XXH3_64bits(string.data(), string.size());
    Slot& slot = slots_[locate(string, hash)];
    if (slot.number < 0) slot = {static_cast<uint32_t>(hash >> 32), number};
  }
  bytes_.append(string);
  ends_.push_back(bytes_.size());
  return number;
}

int32_t StringIndex::find(std::string_view string) const {
  return slots_[locate(string, XXH3_64bits(string.data(), string.size()))].number;
}

}  // namespace bessemer
