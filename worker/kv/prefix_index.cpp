#include "worker/kv/prefix_index.h"

#include <algorithm>
#include <bit>

#include "common/check.h"

namespace bessemer {

PrefixIndex::PrefixIndex(int32_t block_count, int32_t block_tokens)
    : block_tokens_(static_cast<size_t>(block_tokens)),
      nodes_(static_cast<size_t>(block_count)),
      ids_(nodes_.size() * block_tokens_),
      buckets_(block_tokens > 0 ? std::bit_ceil(nodes_.size()) : 1, kNoBlock) {}

std::span<const int32_t> PrefixIndex::ids_of(int32_t block) const {
  return std::span(ids_).subspan(static_cast<size_t>(block) * block_tokens_, block_tokens_);
}

// X2. The hash is looked at first only because it differs in most cases.
bool PrefixIndex::is_named(int32_t block, const BlockName& name) const {
  const Node& node = at(block);
  if (node.hash != name.hash || node.parent != name.parent) return false;
  if (!std::ranges::equal(ids_of(block), name.ids)) return false;
  return node.parent != kNoBlock || roots_.at(block) == name.root;
}

int32_t PrefixIndex::find(const BlockName& name) const {
  int32_t block = buckets_[name.hash.low & (buckets_.size() - 1)];
  while (block != kNoBlock && !is_named(block, name)) block = at(block).next;
  return block;
}

int32_t PrefixIndex::insert(int32_t block, const BlockName& name) {
  if (const int32_t known = find(name); known != kNoBlock) return known;  // X1
  CHECK(name.ids.size() == block_tokens_ && !contains(block));
  if (name.parent == kNoBlock) {
    roots_.emplace(block, name.root);
  } else {
    CHECK(contains(name.parent));  // X3
    ++at(name.parent).children;
  }
  int32_t& head = bucket(name.hash);
  at(block) = {name.hash, name.parent, 0, head};
  head = block;
  std::ranges::copy(name.ids, ids_.begin() + block * static_cast<ptrdiff_t>(block_tokens_));
  ++size_;
  return block;
}

void PrefixIndex::erase(int32_t block) {
  Node& node = at(block);
  CHECK(node.children == 0);  // X3
  int32_t* link = &bucket(node.hash);
  while (*link != block) link = &at(*link).next;
  *link = node.next;
  if (node.parent == kNoBlock) {
    roots_.erase(block);
  } else {
    --at(node.parent).children;
  }
  node = {};
  --size_;
}

void PrefixIndex::clear() {
  std::ranges::fill(nodes_, Node{});
  std::ranges::fill(buckets_, kNoBlock);
  roots_.clear();
  size_ = 0;
}

}  // namespace bessemer
