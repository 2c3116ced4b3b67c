// What workers are about to have: the blocks of prompts that this router has sent them and that they
// have not computed yet. A prompt that begins alike goes to the same queue then, instead of being
// computed a second time elsewhere: in a burst, or behind a long queue, WatchKv tells too late.
//
// They lie in an index of their own, so that nothing in the other is anything but what the worker
// said. Written by the same thread.
//
// Invariants
//   N1  A block is in the index while some pledge has it: from pledge() until kPledgeAfter after its
//       prompt has been computed, when WatchKv has said it, or at once when the prompt is given up.
//   N2  A pledge that finds no room has only the blocks that were stored, a beginning of its chain.
//   N3  What was pledged of one incarnation of a worker is gone with it (drop).
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "router/cluster/kv_index.h"

namespace bessemer {

// Two intervals of WatchKv and as long for the way.
constexpr Duration kPledgeAfter = std::chrono::milliseconds(300);
// 10 million blocks on their way: 1,600 prompts of 100,000 tokens.
constexpr size_t kMaxPledgeBytes = size_t{1} << 28;

using ChainPtr = std::shared_ptr<const std::vector<uint64_t>>;

struct KvPledge {
  uint32_t worker = 0;
  ChainPtr chain;
  // The writer's own.
  size_t stored = 0;   // blocks of the chain
  uint64_t epoch = 0;  // of the worker, when it was made
};
using KvPledgePtr = std::shared_ptr<KvPledge>;

class KvPledges {
 public:
  explicit KvPledges(KvIndex& index) : index_(index) {}

  void pledge(KvPledge& pledge);
  // `computed`: it may be kept for a while; else the worker will not have it.
  void release(KvPledgePtr pledge, bool computed, TimePoint now);
  // Takes out what is over.
  void expire(TimePoint now);
  void drop(uint32_t worker);

 private:
  void take_out(const KvPledge& pledge);
  struct Worker {
    uint64_t epoch = 0;
    std::unordered_map<uint64_t, uint32_t> more;  // pledges of a block beyond the first
  };

  KvIndex& index_;
  std::unordered_map<uint32_t, Worker> workers_;
  std::deque<std::pair<TimePoint, KvPledgePtr>> over_;  // in the order of their times
};

// Where the request path says what it sends and what became of it. Any thread.
class PledgeBook {
 public:
  virtual ~PledgeBook() = default;
  // False: too many wait, it is not made and must not be released.
  virtual bool pledge(KvPledgePtr pledge) = 0;
  virtual void release(KvPledgePtr pledge, bool computed) = 0;
};

}  // namespace bessemer
