// All workers there are: their sessions, and the thread on which what they say becomes views of the
// cluster.
//
// Invariants
//   F1  A session begins when its worker becomes a member and ends when the registry says that it
//       has departed (R6), on the fleet's thread, once no other thread is inside it.
//   F2  What a session said before its end says nothing of the worker that has its id next.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "router/cluster/cluster_view.h"
#include "router/cluster/kv_following.h"
#include "router/cluster/kv_pledges.h"
#include "router/cluster/registry.h"
#include "router/upstream/worker_session.h"

namespace bessemer {

struct FleetOptions {
  std::vector<Member> members;  // known at once: the first view has them
  std::string node, version;
  size_t lanes = 1;
  std::shared_ptr<const PeerCredentials> credentials;  // null: plain connections
  std::string cache_folder;                            // for vocabularies; empty: none
  KvIndex* kv_index = nullptr;    // these two outlive the fleet, which writes them
  KvIndex* kv_pledged = nullptr;  // what workers are about to have (kv_pledges.h)
};

// How the fleet reaches the rest of the router.
struct FleetHooks {
  // From the fleet's thread, after every change of topology.
  std::function<void(ClusterViewPtr)> publish;
  // From gRPC's threads: the batches of one frame.
  std::function<void(std::vector<CoreBatch>&)> deliver;
  // On the fleet's thread: tokenizer and templates of a vocabulary.
  std::function<StatusOr<ModelTextPtr>(const v1::Vocabulary&)> make_text;
};

class Fleet {
 public:
  static std::unique_ptr<Fleet> create(const FleetOptions& options, FleetHooks hooks);
  // Ends every session. No hook is called afterwards.
  virtual ~Fleet() = default;

  // ---- any thread ----
  // Who there should be from now on; see Registry::set_members.
  virtual void set_members(std::vector<Member> members) = 0;
  // See WorkerSession. Unavailable where nobody has this id any more.
  virtual Status start(uint32_t worker, AttemptKey key, v1::Start start) = 0;
  virtual void cancel(uint32_t worker, AttemptKey key, const std::vector<uint32_t>& choices) = 0;
  virtual PledgeBook& pledges() = 0;
  // How well the workers' caches are known.
  virtual KvCounts kv_counts() const = 0;
};

}  // namespace bessemer
