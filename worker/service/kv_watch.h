// One WatchKv stream: what is to be said next of the prefix cache. Pure.
//
// A stream begins with a snapshot, in pieces: `reset` with the first, `exact` when all that was
// there at its beginning and all changes since are said. Then changes follow. A reader so slow that
// the log has lost what comes next gets a new snapshot; nothing is kept for it meanwhile.
#pragma once
#include <cstdint>
#include <vector>

#include "bessemer/v1/cluster.pb.h"
#include "worker/kv/event_log.h"

namespace bessemer {

// Changes of one update: 90 kB at most if each is a run of its own, and the log's lock is held for
// some 10 us.
constexpr size_t kMostKvChanges = 4096;

class KvWatch {
 public:
  KvWatch(const KvEventLog& log, uint64_t incarnation, const v1::WatchKvRequest& request);

  // The next update; false: there is nothing new.
  bool next(v1::KvUpdate& update);
  // There was more than one update holds: the next one is due at once.
  bool is_behind() const { return scanning_ || full_; }

 private:
  void begin_scan();
  bool say_changes(v1::KvUpdate& update);
  void say_scanned(v1::KvUpdate& update);
  void finish(v1::KvUpdate& update, const KvEventLog::State& now);

  const KvEventLog& log_;
  const uint64_t incarnation_;
  std::vector<KvChange> changes_;  // of one update
  bool scanning_ = false, full_ = false;
  size_t scan_at_ = 0;
  uint64_t seq_ = 0;         // changes up to it are said
  uint64_t exact_from_ = 0;  // the newest change when the last piece of the snapshot was taken
};

}  // namespace bessemer
