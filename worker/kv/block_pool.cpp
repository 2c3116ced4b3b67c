#include "worker/kv/block_pool.h"

#include <algorithm>
#include <limits>

#include "common/check.h"

namespace bessemer {

BlockRef BlockRef::share() const {
  CHECK(pool_ != nullptr);
  ++pool_->owners_[static_cast<size_t>(id_)];
  return BlockRef(pool_, id_);
}

void BlockRef::reset() {
  if (pool_ == nullptr) return;
  BlockPool* const pool = std::exchange(pool_, nullptr);
  const int32_t block = std::exchange(id_, -1);
  if (--pool->owners_[static_cast<size_t>(block)] == 0) pool->release(block);
}

bool BlockRef::is_exclusive() const {
  if (pool_ == nullptr || pool_->owners_[static_cast<size_t>(id_)] != 1) return false;
  return !pool_->is_known(id_) || pool_->index_.is_leaf(id_);
}

BlockPool::BlockPool(int32_t block_count, const BlockCache& cache)
    : cache_(cache),
      index_(block_count, cache.block_tokens),
      owners_(static_cast<size_t>(block_count)),
      retires_with_(owners_.size()),
      retiring_(block_count),
      cached_(block_count) {
  free_.reserve(owners_.size());
  for (int32_t block = block_count; block-- > 0;) free_.push_back(block);
}

BlockPool::~BlockPool() {
  CHECK(owned_ == 0);
}

void BlockPool::allocate(int32_t count, std::vector<BlockRef>& out) {
  CHECK(count <= available_count());
  for (int32_t i = 0; i < count; ++i) {
    if (free_.empty()) evict();
    const int32_t block = free_.back();
    free_.pop_back();
    owners_[static_cast<size_t>(block)] = 1;
    ++owned_;
    out.push_back(BlockRef(this, block));
  }
}

void BlockPool::release(int32_t block) {
  --owned_;
  if (launched_ == completed_) return settle(block);
  retires_with_[static_cast<size_t>(block)] = launched_;
  retiring_.push_back(block);
}

void BlockPool::settle(int32_t block) {
  if (is_known(block)) {
    cached_.push_back(block);
  } else {
    free_.push_back(block);
  }
}

void BlockPool::launched(uint64_t step) {
  CHECK(step > launched_);
  launched_ = step;
}

void BlockPool::completed(uint64_t step) {
  CHECK(step > completed_ && step <= launched_);
  completed_ = step;
  while (!retiring_.empty() &&
         retires_with_[static_cast<size_t>(retiring_.front())] <= completed_) {
    settle(retiring_.pop_front());
  }
  CHECK(free_count() + cached_count() + owned_ + retiring_count() == total());  // K1
}

// The cache.

// A leaf (K4), or erase() stops the process.
void BlockPool::evict() {
  const int32_t block = cached_.pop_front();
  index_.erase(block);
  cache_.log->removed(cache_.group, block);
  free_.push_back(block);
}

BlockRef BlockPool::adopt(int32_t block) {
  CHECK(is_known(block));
  if (owners_[static_cast<size_t>(block)]++ == 0) {
    (is_cached(block) ? cached_ : retiring_).erase(block);
    ++owned_;
  }
  return BlockRef(this, block);
}

BlockRef BlockPool::enter(BlockRef block, const BlockName& name, uint64_t parent_hash) {
  const bool was_known = is_known(block.id());
  const int32_t node = index_.insert(block.id(), name);
  if (node != block.id()) return adopt(node);
  if (was_known) return block;  // somebody who shares it was earlier
  cache_.log->stored(cache_.group, block.id(), name.hash.low, parent_hash);
  return block;
}

void BlockPool::make_unknown(const BlockRef& block) {
  CHECK(block.is_exclusive());
  if (!is_known(block.id())) return;
  index_.erase(block.id());
  cache_.log->removed(cache_.group, block.id());
}

void BlockPool::clear_cache() {
  index_.clear();
  while (!cached_.empty()) free_.push_back(cached_.pop_front());
}

void BlockPool::check() const {
  // The order in which blocks can be evicted, should nothing else happen: cached ones first, then
  // those that retire, then those that are owned.
  constexpr int64_t kFree = -1, kOwned = std::numeric_limits<int64_t>::max(), kUnseen = -2;
  std::vector<int64_t> order(owners_.size(), kUnseen);
  int64_t next = 0;
  const auto mark = [&](int32_t block, int64_t place) {
    CHECK(order[static_cast<size_t>(block)] == kUnseen);
    order[static_cast<size_t>(block)] = place;
  };
  for (const int32_t block : free_) mark(block, kFree);
  cached_.for_each([&](int32_t block) { mark(block, next++); });
  retiring_.for_each([&](int32_t block) { mark(block, next++); });
  int32_t owned = 0, known = 0;
  for (size_t i = 0; i < owners_.size(); ++i) {
    CHECK((owners_[i] > 0) == (order[i] == kUnseen));
    if (owners_[i] > 0) order[i] = kOwned, ++owned;
  }
  for (int32_t block = 0; block < total(); ++block) {
    const int64_t place = order[static_cast<size_t>(block)];
    CHECK(!is_cached(block) || is_known(block));
    if (!is_known(block)) continue;
    ++known;
    CHECK(place != kFree);
    const int32_t parent = index_.parent_of(block);
    if (parent == kNoBlock) continue;
    const int64_t after = order[static_cast<size_t>(parent)];
    CHECK(is_known(parent) && (after > place || (after == kOwned && place == kOwned)));  // K4
  }
  CHECK(owned == owned_ && known == index_.size());
  CHECK(free_count() + cached_count() + held_count() == total());
  CHECK(held_count() == owned_count() + retiring_count());
}

}  // namespace bessemer
