#include "worker/kv/event_log.h"

#include <algorithm>
#include <bit>

#include "common/check.h"

namespace bessemer {

KvEventLog::KvEventLog(std::span<const int32_t> blocks_per_group, size_t capacity)
    : capacity_(capacity) {
  CHECK(capacity > 0);
  size_t end = 0;
  for (const int32_t blocks : blocks_per_group) {
    group_ends_.push_back(end += static_cast<size_t>(blocks));
  }
  cells_.resize(end);
  present_.resize(end);
}

size_t KvEventLog::cell(int32_t group, int32_t block) const {
  const size_t first = group == 0 ? 0 : group_ends_[static_cast<size_t>(group) - 1];
  return first + static_cast<size_t>(block);
}

void KvEventLog::append(const KvChange& change) {
  if (ring_.size() < capacity_) {
    ring_.push_back(change);
  } else {
    ring_[state_.last % capacity_] = change;
  }
  ++state_.last;
}

void KvEventLog::stored(int32_t group, int32_t block, uint64_t hash, uint64_t parent) {
  std::lock_guard lock(mutex_);
  const size_t at = cell(group, block);
  CHECK(!present_[at]);
  cells_[at] = {hash, parent};
  present_[at] = true;
  state_.digest ^= std::rotl(hash, group);
  ++state_.count;
  append({KvChange::Kind::stored, group, hash, parent});
}

void KvEventLog::removed(int32_t group, int32_t block) {
  std::lock_guard lock(mutex_);
  const size_t at = cell(group, block);
  CHECK(present_[at]);
  present_[at] = false;
  state_.digest ^= std::rotl(cells_[at].hash, group);
  --state_.count;
  append({KvChange::Kind::removed, group, cells_[at].hash, 0});
}

void KvEventLog::cleared() {
  std::lock_guard lock(mutex_);
  present_.assign(present_.size(), false);
  state_.digest = state_.count = 0;
  append({KvChange::Kind::cleared, 0, 0, 0});
}

KvEventLog::State KvEventLog::state() const {
  std::lock_guard lock(mutex_);
  return state_;
}

bool KvEventLog::read(uint64_t after, size_t most, std::vector<KvChange>& out, State& now) const {
  std::lock_guard lock(mutex_);
  now = state_;
  if (after > state_.last || state_.last - after > ring_.size()) return false;
  const uint64_t end = after + std::min<uint64_t>(most, state_.last - after);
  for (uint64_t number = after; number < end; ++number) out.push_back(ring_[number % capacity_]);
  return true;
}

size_t KvEventLog::scan(size_t at, size_t most, std::vector<KvChange>& out, State& now) const {
  std::lock_guard lock(mutex_);
  now = state_;
  const size_t end = at + std::min(most, cells_.size() - at);
  auto group = std::ranges::upper_bound(group_ends_, at) - group_ends_.begin();
  for (; at < end; ++at) {
    while (at >= group_ends_[static_cast<size_t>(group)]) ++group;
    if (!present_[at]) continue;
    const Cell& found = cells_[at];
    out.push_back({KvChange::Kind::stored, static_cast<int32_t>(group), found.hash, found.parent});
  }
  return end < cells_.size() ? end : 0;
}

}  // namespace bessemer
