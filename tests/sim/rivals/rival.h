// The published scores of other routers, written anew from what is documented of them, behind our
// own Policy: for comparison only. They run in the same router over the same reports and the same
// index as ours, so that nothing but the choice differs; what they count themselves, of their own
// requests, they hear as a Follower.
//
// Where a rival's own source of knowledge is worse than what it gets here, it is better off:
//   R1  llm_d scores prefixes by the exact index, as its precise-prefix-cache-scorer does, and
//       by what this router has sent where and is not computed yet (KvPledges), which it does not
//       know; it sees queues as our reports tell them, 100 ms at most and 20 on a large change,
//       while its own scrapes come every 50 ms.
//   R2  dynamo has the same index, and of its own requests what it has by itself.
//   R3  sglang has nothing but its own tree and counters, which is its design.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "router/routing/policy.h"

namespace bessemer::sim {

// What a router knows of its own requests as they live. `choose` is called between `asks` and
// `placed`; a placement that is refused has `ended` without a `first_token`.
class Follower {
 public:
  virtual ~Follower() = default;
  // The hashes of the prompt's full blocks (prefix_chain).
  virtual void asks(std::span<const uint64_t> blocks, TimePoint now) = 0;
  virtual void placed(uint64_t request, const Candidate& where, const PlacementInput& input) = 0;
  virtual void first_token(uint64_t request) = 0;
  virtual void ended(uint64_t request) = 0;
};

// A policy and, for some, the same object as a follower.
struct Contender {
  std::unique_ptr<Policy> policy;
  Follower* follower = nullptr;
};

template <typename Rival>
Contender contender_of() {
  auto policy = std::make_unique<Rival>();
  Follower* follower = policy.get();
  return {std::move(policy), follower};
}

Contender make_llm_d();
Contender make_dynamo();
Contender make_sglang();

// A rival or a policy of ours. InvalidArgument lists the names there are.
StatusOr<Contender> make_contender(const std::string& name);
std::vector<std::string> contender_names();

}  // namespace bessemer::sim
