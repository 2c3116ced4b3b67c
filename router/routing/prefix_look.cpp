#include "router/routing/prefix_look.h"

#include <algorithm>

namespace bessemer {

void PrefixLook::ask(const KvIndex& index, const KvIndex& pledged, size_t reader,
                     std::span<const uint64_t> chain) {
  for (const KvMatch& match : matches_) blocks_[match.worker] = 0;
  matches_.clear();
  index.match(reader, chain, matches_);
  for (const KvMatch& match : matches_) blocks_[match.worker] = match.blocks;
  pledged_matches_.clear();
  pledged.match(reader, chain, pledged_matches_);
  for (const KvMatch& match : pledged_matches_) {
    if (blocks_[match.worker] == 0) matches_.push_back(match);
    blocks_[match.worker] = std::max(blocks_[match.worker], match.blocks);
  }
  for (KvMatch& match : matches_) match.blocks = blocks_[match.worker];
}

int32_t PrefixLook::most_blocks() const {
  int32_t most = 0;
  for (const KvMatch& match : matches_) most = std::max(most, match.blocks);
  return most;
}

std::span<const uint32_t> PrefixLook::shortlist(std::span<const uint32_t> workers, Random& random) {
  if (workers.size() <= kMostCandidates) return workers;
  for (const uint32_t worker : listed_) is_listed_.reset(worker);
  listed_.clear();
  const size_t matched = std::min(matches_.size(), kMostCandidates / 2);
  std::ranges::nth_element(matches_, matches_.begin() + static_cast<ptrdiff_t>(matched),
                           std::ranges::greater(), &KvMatch::blocks);
  for (size_t i = 0; i < matched; i++) {
    if (std::ranges::binary_search(workers, matches_[i].worker)) add(matches_[i].worker);
  }
  while (listed_.size() < kMostCandidates) add(workers[random.below(workers.size())]);
  return listed_;
}

void PrefixLook::add(uint32_t worker) {
  if (is_listed_[worker]) return;
  is_listed_.set(worker);
  listed_.push_back(worker);
}

}  // namespace bessemer
