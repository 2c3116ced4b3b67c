// All workers' prefix caches, followed: whose WatchKv stream is open, what its updates did, when
// the next one is asked for. A state machine without I/O, clock or thread; it owns the writing of
// the index.
//
// Invariants
//   K1  Of each worker at most one stream is wanted until it has ended, or the worker has another
//       incarnation. Streams have numbers that are never used again; whatever comes of another one
//       than the worker's own is refused.
//   K2  What a worker had is dropped with its incarnation (M1).
//   K3  A stream that ends is asked for again after kKvRetry, from where it was; one that cannot be
//       followed, since the worker has no such call or the index is full, after kKvRetryLater.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "bessemer/v1/cluster.pb.h"
#include "common/clock.h"
#include "common/status.h"
#include "router/cluster/kv_mirror.h"

namespace bessemer {

// So that a router is exact within a second after a lost stream.
constexpr Duration kKvRetry = std::chrono::milliseconds(200);
constexpr Duration kKvRetryLater = std::chrono::seconds(60);

// A stream that should be opened.
struct KvWanted {
  uint32_t worker = 0;
  uint64_t incarnation = 0;
  uint64_t stream = 0;
  v1::WatchKvRequest request;
};

struct KvCounts {
  uint64_t updates = 0;
  uint64_t snapshots = 0;  // streams that began anew, the first of each incarnation among them
  uint64_t diverged = 0;   // gaps and wrong digests: each costs a snapshot
  uint64_t no_room = 0;    // workers given up for a while, since the index was full
  uint64_t exact = 0;      // workers whose cache is known exactly now
  uint64_t expected = 0;   // workers that are there
};

class KvFollowing {
 public:
  explicit KvFollowing(KvIndex& index) : index_(index) {}

  // The worker is there with this incarnation; 0: it is gone.
  void expect(uint32_t worker, uint64_t incarnation, TimePoint now);
  // False: the stream is not to be read any further.
  bool update(uint32_t worker, uint64_t stream, const v1::KvUpdate& update);
  void ended(uint32_t worker, uint64_t stream, const Status& why, TimePoint now);
  // What is to be opened now; said once.
  std::vector<KvWanted> wanted(TimePoint now);

  // 0: the worker is not there.
  uint64_t incarnation(uint32_t worker) const;
  KvCounts counts() const;

 private:
  struct Followed {
    KvMirror mirror;
    uint64_t stream = 0;  // open, or to be opened; 0: none
    TimePoint due{};      // of the next, where there is none
    bool no_room = false;
  };

  KvIndex& index_;
  std::map<uint32_t, Followed> workers_;  // those that are there
  uint64_t last_stream_ = 0;
  KvCounts counts_;
};

}  // namespace bessemer
