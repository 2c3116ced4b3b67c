// The thread that keeps the prefix index: the only one that writes it. What the streams bring waits
// in its mailbox, one update of each at most, since a stream is read on only when its update has
// been applied.
#pragma once
#include <functional>
#include <memory>

#include "router/cluster/kv_following.h"
#include "router/upstream/worker_session.h"

namespace bessemer {

class KvFollower {
 public:
  // `want` is called on the follower's thread for each stream to be opened; not any more once the
  // destructor has begun.
  static std::unique_ptr<KvFollower> create(KvIndex& index,
                                            std::function<void(const KvWanted&)> want);
  // Stops every stream whose update waits.
  virtual ~KvFollower() = default;

  // ---- any thread ----
  // What KvFollowing is told, in the order of the calls.
  virtual void expect(uint32_t worker, uint64_t incarnation) = 0;
  virtual void update(uint32_t worker, uint64_t stream, KvDelivery& delivery) = 0;
  virtual void ended(uint32_t worker, uint64_t stream, const Status& why) = 0;
  // As of the last second.
  virtual KvCounts counts() const = 0;
};

}  // namespace bessemer
