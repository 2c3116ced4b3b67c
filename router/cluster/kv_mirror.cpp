#include "router/cluster/kv_mirror.h"

#include <bit>

namespace bessemer {
namespace {

// Blocks of different groups are different, also where their hashes are equal; the digest is made
// of the same (KvUpdate.digest).
uint64_t hash_in_group(uint64_t hash, uint32_t group) {
  return std::rotl(hash, static_cast<int>(group % 64));
}

uint64_t changes_in(const v1::KvUpdate& update) {
  uint64_t sum = 0;
  for (const v1::KvRun& run : update.runs()) {
    sum += static_cast<uint64_t>(run.stored_size()) + static_cast<uint64_t>(run.removed_size()) +
           (run.cleared() ? 1 : 0);
  }
  return sum;
}

}  // namespace

void KvMirror::forget() {
  index_.drop(worker_);
  begun_ = exact_ = false;
  seq_ = 0;
}

void KvMirror::expect(uint64_t incarnation) {
  if (incarnation == incarnation_) return;
  forget();
  incarnation_ = incarnation;
}

// The numbers have no gap: those of a snapshot's pieces stand still, those of changes count them.
bool KvMirror::follows(const v1::KvUpdate& update) const {
  if (update.reset()) return true;
  return begun_ && (update.seq() == seq_ + changes_in(update) || (!exact_ && update.seq() == seq_));
}

KvMirror::Verdict KvMirror::apply(const v1::KvUpdate& update) {
  if (incarnation_ == 0 || update.incarnation() != incarnation_) return Verdict::stale;
  if (!follows(update)) {
    forget();
    return Verdict::diverged;
  }
  if (update.reset()) forget();
  for (const v1::KvRun& run : update.runs()) {
    if (apply_run(run)) continue;
    forget();
    return Verdict::no_room;
  }
  begun_ = true;
  exact_ = update.exact();
  seq_ = update.seq();
  if (exact_ && update.has_digest() && update.digest() != index_.digest(worker_)) {
    forget();
    return Verdict::diverged;
  }
  return Verdict::applied;
}

bool KvMirror::apply_run(const v1::KvRun& run) {
  if (run.cleared()) index_.drop(worker_);
  for (const uint64_t hash : run.removed())
    index_.remove(worker_, hash_in_group(hash, run.group()));
  for (const uint64_t hash : run.stored()) {
    if (index_.store(worker_, hash_in_group(hash, run.group())) == KvIndex::Stored::no_room)
      return false;
  }
  return true;
}

v1::WatchKvRequest KvMirror::request() const {
  v1::WatchKvRequest request;
  if (exact_) {
    request.set_incarnation(incarnation_);
    request.set_after(seq_);
  }
  return request;
}

}  // namespace bessemer
