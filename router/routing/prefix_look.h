// What the prefix index says of one prompt, and whom a placement looks at because of it. One per
// core: it keeps its room from one placement to the next.
#pragma once
#include <bitset>
#include <cstdint>
#include <span>
#include <vector>

#include "common/random.h"
#include "router/cluster/kv_index.h"

namespace bessemer {

// Where more workers could serve, those with most of the prompt and a random sample of the others
// are looked at, so that a decision costs about the same with 32 workers and with 1,000. Half are
// for each: a sample of 16 has one of the least loaded seventh with 92 %, and which of many equal
// matches is taken does not matter.
constexpr size_t kMostCandidates = 32;

class PrefixLook {
 public:
  // Of what workers have, and of what they are about to have (kv_pledges.h). `reader`: see
  // KvIndex::match.
  void ask(const KvIndex& index, const KvIndex& pledged, size_t reader,
           std::span<const uint64_t> chain);
  // Of the chain's beginning, at the last ask; 0 for those who have nothing of it.
  int32_t blocks(uint32_t worker) const { return blocks_[worker]; }
  int32_t most_blocks() const;

  // Of `workers`, ids in rising order, those to be looked at; all where they are few. Valid until
  // the next call.
  std::span<const uint32_t> shortlist(std::span<const uint32_t> workers, Random& random);

 private:
  void add(uint32_t worker);

  std::vector<KvMatch> matches_, pledged_matches_;
  std::vector<int32_t> blocks_ = std::vector<int32_t>(kMaxWorkers);  // by worker
  std::vector<uint32_t> listed_;
  std::bitset<kMaxWorkers> is_listed_;
};

}  // namespace bessemer
