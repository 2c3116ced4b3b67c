// How a worker is chosen among those that could serve. One policy per file, one line each in
// policy.cpp; pure: the choice depends on what is passed in and on the policy's own counters.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/random.h"
#include "common/status.h"
#include "router/cluster/load_slot.h"

namespace bessemer {

struct Candidate {
  uint32_t worker = 0;  // its id in the ClusterView
  LoadReading reading;
  int64_t sequences = 0;  // LoadSlot::sequences
};

struct PlacementInput {
  int64_t prompt_tokens = 0;
  int32_t choices = 1;
};

// One per core; not shared between threads.
class Policy {
 public:
  virtual ~Policy() = default;
  // Index into `candidates`, which is not empty.
  virtual size_t choose(std::span<const Candidate> candidates, const PlacementInput& input,
                        Random& random) = 0;
};

// InvalidArgument lists the names there are.
StatusOr<std::unique_ptr<Policy>> make_policy(const std::string& name);
std::vector<std::string> policy_names();

std::unique_ptr<Policy> make_least_loaded();
std::unique_ptr<Policy> make_round_robin();

}  // namespace bessemer
