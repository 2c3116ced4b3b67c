#include "worker/service/kv_watch.h"

namespace bessemer {
namespace {

bool continues(const v1::KvRun& run, const KvChange& change) {
  if (run.group() != static_cast<uint32_t>(change.group) || run.cleared()) return false;
  if (change.kind == KvChange::Kind::removed) return run.stored().empty();
  return change.kind == KvChange::Kind::stored && run.removed().empty() &&
         run.stored(run.stored_size() - 1) == change.parent;
}

void add_runs(const std::vector<KvChange>& changes, v1::KvUpdate& update) {
  v1::KvRun* run = nullptr;
  for (const KvChange& change : changes) {
    if (run == nullptr || !continues(*run, change)) {
      run = update.add_runs();
      run->set_group(static_cast<uint32_t>(change.group));
      if (change.kind == KvChange::Kind::stored) run->set_parent(change.parent);
    }
    switch (change.kind) {
      case KvChange::Kind::stored:
        run->add_stored(change.hash);
        break;
      case KvChange::Kind::removed:
        run->add_removed(change.hash);
        break;
      case KvChange::Kind::cleared:
        run->set_cleared(true);
        break;
    }
  }
}

}  // namespace

KvWatch::KvWatch(const KvEventLog& log, uint64_t incarnation, const v1::WatchKvRequest& request)
    : log_(log), incarnation_(incarnation), seq_(request.after()) {
  if (request.incarnation() != incarnation) begin_scan();
}

void KvWatch::begin_scan() {
  scanning_ = true;
  scan_at_ = 0;
  seq_ = log_.state().last;
}

bool KvWatch::next(v1::KvUpdate& update) {
  update.Clear();
  update.set_incarnation(incarnation_);
  changes_.clear();
  if (!scanning_ && say_changes(update)) return !changes_.empty();
  if (!scanning_) begin_scan();
  say_scanned(update);
  return true;
}

// False: the log has lost what comes next.
bool KvWatch::say_changes(v1::KvUpdate& update) {
  KvEventLog::State now;
  if (!log_.read(seq_, kMostKvChanges, changes_, now)) return false;
  seq_ += changes_.size();
  full_ = changes_.size() == kMostKvChanges;
  finish(update, now);
  return true;
}

// Blocks that hold nothing are passed over, so that a small cache in much memory is one update.
void KvWatch::say_scanned(v1::KvUpdate& update) {
  constexpr size_t kPiece = kMostKvChanges / 2;
  KvEventLog::State now;
  update.set_reset(scan_at_ == 0);
  do {
    scan_at_ = log_.scan(scan_at_, kPiece, changes_, now);
  } while (scan_at_ != 0 && changes_.size() <= kMostKvChanges - kPiece);
  scanning_ = scan_at_ != 0;
  full_ = false;
  exact_from_ = now.last;
  finish(update, now);
}

void KvWatch::finish(v1::KvUpdate& update, const KvEventLog::State& now) {
  add_runs(changes_, update);
  update.set_seq(seq_);
  update.set_exact(!scanning_ && seq_ >= exact_from_);
  if (update.exact() && seq_ == now.last) update.set_digest(now.digest);
}

}  // namespace bessemer
