#include "worker/kv/kv_space.h"

#include <algorithm>

#include "common/check.h"

namespace bessemer {
namespace {

bool have_one_size(std::span<const KvGroupSize> groups) {
  return !groups.empty() && std::ranges::all_of(groups, [&](const KvGroupSize& group) {
    return group.block_tokens == groups.front().block_tokens;
  });
}

std::vector<int32_t> block_counts(std::span<const KvGroupSize> groups) {
  std::vector<int32_t> counts;
  for (const KvGroupSize& group : groups) counts.push_back(group.block_count);
  return counts;
}

// What is already there of `found` and only has to be taken: it does not count as room twice.
struct Idle {
  int32_t cached = 0, retiring = 0;
};
Idle idle_blocks(const BlockPool& pool, std::span<const int32_t> found) {
  Idle idle;
  for (const int32_t block : found) {
    idle.cached += pool.is_cached(block) ? 1 : 0;
    idle.retiring += pool.is_retiring(block) ? 1 : 0;
  }
  return idle;
}

}  // namespace

bool KvTable::empty() const {
  return std::ranges::all_of(groups, [](const Group& g) { return g.blocks.empty() && !g.partial; });
}

void KvTable::clear() {
  for (Group& group : groups) {
    group.partial.reset();
    while (!group.blocks.empty()) group.blocks.pop_back();
  }
  entered = 0;
}

KvSpace::KvSpace(std::span<const KvGroupSize> groups, const PrefixCacheOptions& cache)
    : cache_(cache),
      caches_(cache.on && have_one_size(groups)),
      log_(block_counts(caches_ ? groups : groups.first(0)), cache.log_capacity) {
  for (const KvGroupSize& group : groups) {
    CHECK(group.block_tokens > 0 && group.block_count >= 0);
    const BlockCache kept{caches_ ? group.block_tokens : 0, group_count(), &log_};
    pools_.emplace_back(group.block_tokens, group.block_count, kept);
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
  return missing > 0 && group.partial.is_exclusive() ? missing - 1 : missing;
}

Room KvSpace::room_for(const KvTable& table, int32_t rows, int32_t headroom,
                       const PrefixMatch& found) const {
  Room room = Room::now;
  for (size_t g = 0; g < pools_.size(); ++g) {
    const BlockPool& blocks = pools_[g].blocks;
    const Idle idle = found.blocks > 0 ? idle_blocks(blocks, found.groups[g]) : Idle{};
    const int32_t missing = blocks_missing(pools_[g], table.groups[g], rows) - found.blocks;
    const int32_t now = blocks.available_count() - idle.cached;
    const int32_t later = now + blocks.retiring_count() - idle.retiring;
    if (missing <= 0 || missing + headroom <= now) continue;
    if (missing + headroom > later) return Room::none;
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
    if (group.partial.is_exclusive()) {
      pool.blocks.make_unknown(group.partial);  // it gets other rows now (K5)
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
  if (caches_) table.entered = std::min(owner.entered, rows / block_tokens());
  return table;
}

void KvSpace::launched(uint64_t step) {
  for (Pool& pool : pools_) pool.blocks.launched(step);
}
void KvSpace::completed(uint64_t step) {
  for (Pool& pool : pools_) pool.blocks.completed(step);
}

// The prefix cache.

std::vector<BlockHash> KvSpace::hashes_of(std::string_view root,
                                          std::span<const int32_t> ids) const {
  std::vector<BlockHash> hashes;
  const size_t tokens = static_cast<size_t>(block_tokens());
  hashes.reserve(ids.size() / tokens);
  BlockHash hash = chain_root(cache_.hash_domain, root);
  for (size_t at = 0; at + tokens <= ids.size(); at += tokens) {
    hashes.push_back(hash = cache_.hash(hash, ids.subspan(at, tokens)));
  }
  return hashes;
}

std::vector<int32_t> KvSpace::find_in(const BlockPool& pool, const PrefixKey& key) const {
  const size_t tokens = static_cast<size_t>(block_tokens());
  std::vector<int32_t> found;
  BlockName name{kNoBlock, key.root, {}, {}};
  for (size_t i = 0; i < key.hashes.size(); ++i) {
    name.hash = key.hashes[i];
    name.ids = key.ids.subspan(i * tokens, tokens);
    name.parent = pool.find(name);
    if (name.parent == kNoBlock) break;
    found.push_back(name.parent);
  }
  return found;
}

PrefixMatch KvSpace::find(const PrefixKey& key) const {
  PrefixMatch match;
  size_t least = key.hashes.size();
  for (const Pool& pool : pools_) {
    match.groups.push_back(find_in(pool.blocks, key));
    least = std::min(least, match.groups.back().size());
  }
  for (std::vector<int32_t>& blocks : match.groups) blocks.resize(least);
  match.blocks = static_cast<int32_t>(least);
  return match;
}

void KvSpace::adopt(KvTable& table, const PrefixMatch& found) {
  CHECK(table.empty());
  if (found.blocks == 0) return;
  for (size_t g = 0; g < pools_.size(); ++g) {
    for (const int32_t block : found.groups[g]) {
      table.groups[g].blocks.push_back(pools_[g].blocks.adopt(block));
    }
  }
  table.entered = found.blocks;
}

void KvSpace::enter(KvTable& table, std::string_view root, std::span<const int32_t> ids,
                    std::vector<Replaced>& replaced) {
  const size_t at = static_cast<size_t>(table.entered++);
  for (size_t g = 0; g < pools_.size(); ++g) {
    BlockPool& pool = pools_[g].blocks;
    std::vector<BlockRef>& blocks = table.groups[g].blocks;
    const int32_t parent = at == 0 ? kNoBlock : blocks[at - 1].id(), before = blocks[at].id();
    const BlockHash from =
        at == 0 ? chain_root(cache_.hash_domain, root) : pool.index().hash_of(parent);
    const BlockName name{parent, root, cache_.hash(from, ids), ids};
    blocks[at] = pool.enter(std::move(blocks[at]), name, from.low);
    if (blocks[at].id() == before) continue;
    replaced.push_back(
        {static_cast<int32_t>(g), static_cast<int32_t>(at), before, blocks[at].id()});
  }
}

bool KvSpace::replace(KvTable& table, const Replaced& replaced) {
  const size_t g = static_cast<size_t>(replaced.group), at = static_cast<size_t>(replaced.at);
  std::vector<BlockRef>& blocks = table.groups[g].blocks;
  if (at >= blocks.size() || blocks[at].id() != replaced.from) return false;
  blocks[at] = pools_[g].blocks.adopt(replaced.to);
  return true;
}

void KvSpace::forget(KvTable& table) {
  for (; table.entered > 0; --table.entered) {
    const size_t last = static_cast<size_t>(table.entered) - 1;
    for (size_t g = 0; g < pools_.size(); ++g) {
      if (!table.groups[g].blocks[last].is_exclusive()) return;
    }
    for (size_t g = 0; g < pools_.size(); ++g) {
      pools_[g].blocks.make_unknown(table.groups[g].blocks[last]);
    }
  }
}

void KvSpace::clear_cache() {
  if (!caches_) return;
  for (Pool& pool : pools_) pool.blocks.clear_cache();
  log_.cleared();
}

// Numbers.

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
