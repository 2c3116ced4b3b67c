// The thread that keeps the prefix index and the pledges beside it: the only one that writes them. What the streams bring waits
// in its mailbox, one update of each at most, since a stream is read on only when its update has
// been applied.
#pragma once
#include <functional>
#include <memory>

#include "router/cluster/kv_following.h"
#include "router/cluster/kv_pledges.h"
#include "router/upstream/worker_session.h"

namespace bessemer {

class KvFollower : public PledgeBook {
 public:
  // `want` is called on the follower's thread for each stream to be opened; not any more once the
  // destructor has begun.
  static std::unique_ptr<KvFollower> create(KvIndex& index, KvIndex& pledged,
                                            std::function<void(const KvWanted&)> want);
  // Its end stops every stream whose update waits.

  // ---- any thread ----
  // What KvFollowing is told, in the order of the calls.
  virtual void expect(uint32_t worker, uint64_t incarnation) = 0;
  virtual void update(uint32_t worker, uint64_t stream, KvDelivery& delivery) = 0;
  virtual void ended(uint32_t worker, uint64_t stream, const Status& why) = 0;
  // As of the last second.
  virtual KvCounts counts() const = 0;
};

}  // namespace bessemer
