// One worker's prefix cache as this router knows it: the updates of its WatchKv streams, applied to
// the index. A state machine without I/O or clock; it belongs to the index's writer.
//
// Invariants
//   M1  Whatever the worker said of one incarnation is gone when another is expected, or none.
//   M2  While exact() the index has of the worker what it had after change number `seq`, or a
//       check has yet to come that will show the difference: numbers without a gap, and the digest
//       with every update that is up to date.
//   M3  A worker that diverged, or for which there is no room, has nothing in the index; it is
//       followed again from a snapshot.
#pragma once
#include <cstdint>

#include "bessemer/v1/cluster.pb.h"
#include "router/cluster/kv_index.h"

namespace bessemer {

class KvMirror {
 public:
  KvMirror(KvIndex& index, uint32_t worker) : index_(index), worker_(worker) {}

  // From now on; 0: the worker is gone.
  void expect(uint64_t incarnation);

  enum class Verdict : uint8_t {
    applied,
    stale,     // of another incarnation: end the stream
    diverged,  // it does not fit what is known: end the stream, a new one begins anew
    no_room,   // the index is full: end the stream, and try again later
  };
  Verdict apply(const v1::KvUpdate& update);

  // What a new stream asks for: where to go on, or a snapshot.
  v1::WatchKvRequest request() const;
  bool exact() const { return exact_; }
  uint64_t incarnation() const { return incarnation_; }

 private:
  void forget();
  bool follows(const v1::KvUpdate& update) const;
  bool apply_run(const v1::KvRun& run);

  KvIndex& index_;
  const uint32_t worker_;
  uint64_t incarnation_ = 0;  // expected; 0: none
  bool begun_ = false;        // a reset has come
  bool exact_ = false;
  uint64_t seq_ = 0;  // of the last update
};

}  // namespace bessemer
