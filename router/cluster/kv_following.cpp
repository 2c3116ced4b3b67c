#include "router/cluster/kv_following.h"

#include <algorithm>

namespace bessemer {

void KvFollowing::expect(uint32_t worker, uint64_t incarnation, TimePoint now) {
  const auto found = workers_.find(worker);
  if (found != workers_.end() && found->second.mirror.incarnation() == incarnation) return;
  if (found != workers_.end()) {
    found->second.mirror.expect(0);
    workers_.erase(found);
  }
  if (incarnation == 0) return;
  Followed& followed = workers_.emplace(worker, Followed{KvMirror(index_, worker)}).first->second;
  followed.mirror.expect(incarnation);
  followed.due = now;
}

bool KvFollowing::update(uint32_t worker, uint64_t stream, const v1::KvUpdate& update) {
  const auto found = workers_.find(worker);
  if (found == workers_.end() || found->second.stream != stream) return false;
  if (update.reset()) counts_.snapshots++;
  switch (found->second.mirror.apply(update)) {
    case KvMirror::Verdict::applied:
      counts_.updates++;
      return true;
    case KvMirror::Verdict::stale:
      return false;
    case KvMirror::Verdict::diverged:
      counts_.diverged++;
      return false;
    case KvMirror::Verdict::no_room:
      counts_.no_room++;
      found->second.no_room = true;
      return false;
  }
  return false;
}

void KvFollowing::ended(uint32_t worker, uint64_t stream, const Status& why, TimePoint now) {
  const auto found = workers_.find(worker);
  if (found == workers_.end() || found->second.stream != stream) return;
  Followed& followed = found->second;
  followed.stream = 0;
  const bool later = std::exchange(followed.no_room, false) || absl::IsUnimplemented(why);
  followed.due = now + (later ? kKvRetryLater : kKvRetry);
}

std::vector<KvWanted> KvFollowing::wanted(TimePoint now) {
  std::vector<KvWanted> all;
  for (auto& [worker, followed] : workers_) {
    if (followed.stream != 0 || followed.due > now) continue;
    followed.stream = ++last_stream_;
    all.push_back(
        {worker, followed.mirror.incarnation(), followed.stream, followed.mirror.request()});
  }
  return all;
}

uint64_t KvFollowing::incarnation(uint32_t worker) const {
  const auto found = workers_.find(worker);
  return found == workers_.end() ? 0 : found->second.mirror.incarnation();
}

KvCounts KvFollowing::counts() const {
  KvCounts counts = counts_;
  counts.expected = workers_.size();
  counts.exact = static_cast<uint64_t>(
      std::ranges::count_if(workers_, [](const auto& each) { return each.second.mirror.exact(); }));
  return counts;
}

}  // namespace bessemer
