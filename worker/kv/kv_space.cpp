#include "worker/kv/kv_space.h"

#include <algorithm>

#include "common/check.h"

namespace bessemer {

bool KvTable::empty() const {
  return std::ranges::all_of(groups, [](const Group& g) { return g.blocks.empty() && !g.partial; });
}

void KvTable::clear() {
  for (Group& group : groups) {
    group.blocks.clear();
    group.partial.reset();
  }
}

KvSpace::KvSpace(std::span<const KvGroupSize> groups) {
  for (const KvGroupSize& group : groups) {
    CHECK(group.block_tokens > 0 && group.block_count >= 0);
    pools_.emplace_back(group.block_tokens, group.block_count);
  }
}

KvTable KvSpace::make_table() const {
  KvTable table;
  table.groups.resize(pools_.size());
  return table;
}

int32_t KvSpace::blocks_missing(const Pool& pool, const KvTable::Group& group, int32_t rows) const {
  const int32_t have = static_cast<int32_t>(group.blocks.size());
  const int32_t missing = std::max(0, blocks_for(rows, pool.block_tokens) - have);
  return missing > 0 && group.partial.is_only_owner() ? missing - 1 : missing;
}

Room KvSpace::room_for(const KvTable& table, int32_t rows, int32_t headroom) const {
  Room room = Room::now;
  for (size_t g = 0; g < pools_.size(); ++g) {
    const BlockPool& blocks = pools_[g].blocks;
    const int32_t missing = blocks_missing(pools_[g], table.groups[g], rows);
    if (missing == 0 || missing + headroom <= blocks.free_count()) continue;
    if (missing + headroom > blocks.free_count() + blocks.retiring_count()) return Room::none;
    room = Room::later;
  }
  return room;
}

void KvSpace::grow(KvTable& table, int32_t rows, std::vector<CopyOnWrite>& copies) {
  for (size_t g = 0; g < pools_.size(); ++g) {
    Pool& pool = pools_[g];
    KvTable::Group& group = table.groups[g];
    int32_t missing = blocks_missing(pool, group, rows);
    const int32_t end = blocks_for(rows, pool.block_tokens);
    if (static_cast<int32_t>(group.blocks.size()) >= end) continue;
    if (group.partial.is_only_owner()) {
      group.blocks.push_back(std::move(group.partial));
    } else if (group.partial) {
      pool.blocks.allocate(1, group.blocks);
      --missing;
      copies.push_back(
          {static_cast<int32_t>(g), std::move(group.partial), group.blocks.back().id()});
    }
    pool.blocks.allocate(missing, group.blocks);
  }
}

KvTable KvSpace::fork(const KvTable& owner, int32_t rows) const {
  KvTable table = make_table();
  for (size_t g = 0; g < pools_.size(); ++g) {
    const auto& from = owner.groups[g].blocks;
    const size_t full = static_cast<size_t>(rows / pools_[g].block_tokens);
    KvTable::Group& to = table.groups[g];
    to.blocks.reserve(full + 1);
    for (size_t i = 0; i < full; ++i) to.blocks.push_back(from[i].share());
    if (rows % pools_[g].block_tokens != 0) to.partial = from[full].share();
  }
  return table;
}

void KvSpace::launched(uint64_t step) {
  for (Pool& pool : pools_) pool.blocks.launched(step);
}
void KvSpace::completed(uint64_t step) {
  for (Pool& pool : pools_) pool.blocks.completed(step);
}

int32_t KvSpace::free_count() const {
  int32_t sum = 0;
  for (const Pool& pool : pools_) sum += pool.blocks.free_count();
  return sum;
}
int32_t KvSpace::held_count() const {
  int32_t sum = 0;
  for (const Pool& pool : pools_) sum += pool.blocks.held_count();
  return sum;
}
int32_t KvSpace::cached_count() const {
  int32_t sum = 0;
  for (const Pool& pool : pools_) sum += pool.blocks.cached_count();
  return sum;
}
int32_t KvSpace::total() const {
  int32_t sum = 0;
  for (const Pool& pool : pools_) sum += pool.blocks.total();
  return sum;
}

void KvSpace::check() const {
  for (const Pool& pool : pools_) pool.blocks.check();
}

}  // namespace bessemer
