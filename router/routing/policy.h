// How a worker is chosen among those that could serve. One policy per file, one line each in
// policy.cpp; pure: the choice depends on what is passed in and on the policy's own counters.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/random.h"
#include "common/status.h"
#include "router/cluster/load_slot.h"

namespace bessemer {

// One worker as a placement sees it.
struct Candidate {
  uint32_t worker = 0;  // its id in the ClusterView
  LoadReading reading;
  int64_t sequences = 0;       // LoadSlot::sequences
  int64_t backlog_tokens = 0;  // LoadSlot::backlog: prompt tokens to be computed before a new one's
  int64_t matched_tokens = 0;  // of the prompt, in its prefix cache as far as the index knows
  int32_t block_tokens = 0;    // of a KV block; 0: not known
  uint64_t incarnation = 0;    // of its process
  bool same_numerics = true;   // as the worker that a resumed request comes from
  bool has_room = true;        // LoadSlot::has_room
};

struct PlacementInput {
  int64_t prompt_tokens = 0;
  int32_t choices = 1;
  int64_t max_tokens = std::numeric_limits<int64_t>::max();  // of output, each choice
  uint64_t prefix = 0;   // hash of the prompt's first block; 0: it has none
  uint64_t session = 0;  // what the requests of one conversation share; 0: not known
  std::optional<uint32_t> last_worker = std::nullopt;  // that of the session's last request
};

// Why this worker.
enum class ChoiceReason : uint8_t {
  only,     // there was no other
  load,     // it costs least, and not for its cache
  prefix,   // it costs least, since it has more of the prompt than whoever would without caches
  session,  // as good as the best, and has the session
  tie,      // as good as the best, drawn
  turn,     // round_robin's next
  sample,   // the better one of two that were drawn
  hash,     // the session or the prompt's beginning hashes to it
};
constexpr size_t kChoiceReasons = 8;
const char* choice_reason_name(ChoiceReason reason);

struct Choice {
  size_t index = 0;  // into the candidates
  // What it costs to place the request here, and on the best of the others (infinite: there is no
  // other; both 0: the policy does not reckon in seconds).
  double seconds = 0, next_seconds = 0;
  double ttft_seconds = 0;  // of that, until the first token: the backlog and what is missing
  ChoiceReason reason = ChoiceReason::only;
};

// One per core; not shared between threads.
class Policy {
 public:
  virtual ~Policy() = default;
  // `candidates` is not empty.
  virtual Choice choose(std::span<const Candidate> candidates, const PlacementInput& input,
                        Random& random) = 0;
  // What was chosen last, of so many candidates, is sent there.
  virtual void sent(const Candidate& where, const PlacementInput& input, size_t candidates) {
    (void)where;
    (void)input;
    (void)candidates;
  }
};

// InvalidArgument lists the names there are.
StatusOr<std::unique_ptr<Policy>> make_policy(const std::string& name);
std::vector<std::string> policy_names();

// What cache_aware weighs with; cache_aware.cpp has the formula. The defaults are what the
// simulator found best (tests/sim).
struct CostWeights {
  double overtaking = 6;  // of its own time, what a prompt waits at most behind longer ones
  double crowding = 1;    // of the worker's own queue, in the price of prompt tokens
  double queue_rank = 0;  // whose queue is lambda: 0 the shortest, 0.5 the median, 1 the longest
  double scarcity = 1;    // of lambda
  double regret = 0.5;    // mu: half of what is evicted would not have been asked for again
  double horizon_steps = 20;  // H
  double recent = 0.2;        // nu: of what was sent there of late, for what is new there
};
std::unique_ptr<Policy> make_cache_aware(const CostWeights& weights = {});
std::unique_ptr<Policy> make_consistent_hash();
std::unique_ptr<Policy> make_least_loaded();
std::unique_ptr<Policy> make_power_of_two();
std::unique_ptr<Policy> make_round_robin();

}  // namespace bessemer
