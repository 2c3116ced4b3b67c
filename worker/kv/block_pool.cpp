#include "worker/kv/block_pool.h"

#include <algorithm>

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

bool BlockRef::is_only_owner() const {
  return pool_ != nullptr && pool_->owners_[static_cast<size_t>(id_)] == 1;
}

BlockPool::BlockPool(int32_t block_count) : owners_(static_cast<size_t>(block_count)) {
  free_.reserve(owners_.size());
  for (int32_t block = block_count; block-- > 0;) free_.push_back(block);
}

BlockPool::~BlockPool() {
  CHECK(owned_ == 0);
}

void BlockPool::allocate(int32_t count, std::vector<BlockRef>& out) {
  CHECK(count <= free_count());
  for (int32_t i = 0; i < count; ++i) {
    const int32_t block = free_.back();
    free_.pop_back();
    owners_[static_cast<size_t>(block)] = 1;
    ++owned_;
    out.push_back(BlockRef(this, block));
  }
}

void BlockPool::release(int32_t block) {
  --owned_;
  if (launched_ > completed_) {
    retiring_.push_back({launched_, block});
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
  while (!retiring_.empty() && retiring_.front().step <= step) {
    free_.push_back(retiring_.front().block);
    retiring_.pop_front();
  }
  CHECK(free_count() + cached_count() + owned_ + retiring_count() == total());  // K1
}

void BlockPool::check() const {
  std::vector<int32_t> seen(owners_.size());  // 1: free, 2: retiring, 3: owned
  const auto mark = [&](int32_t block, int32_t state) {
    CHECK(seen[static_cast<size_t>(block)] == 0);
    seen[static_cast<size_t>(block)] = state;
  };
  for (const int32_t block : free_) mark(block, 1);
  for (const Retiring& each : retiring_) mark(each.block, 2);
  int32_t owned = 0;
  for (size_t block = 0; block < owners_.size(); ++block) {
    CHECK((owners_[block] > 0) == (seen[block] == 0));
    owned += owners_[block] > 0 ? 1 : 0;
  }
  CHECK(owned == owned_);
  CHECK(free_count() + cached_count() + held_count() == total());
  CHECK(held_count() == owned_count() + retiring_count());
}

}  // namespace bessemer
