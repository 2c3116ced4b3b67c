// The same worker for the same session, or for prompts that begin alike where no session is named,
// whatever the load: rendezvous hashing (Thaler and Ravishankar, 1998), by which a worker that
// comes or goes moves only its own share. Where there is neither, a random one. For comparison.
#include "router/routing/policy.h"

namespace bessemer {
namespace {

class ConsistentHash final : public Policy {
 public:
  Choice choose(std::span<const Candidate> candidates, const PlacementInput& input,
                Random& random) override {
    Choice choice;
    if (candidates.size() > 1) choice.reason = ChoiceReason::hash;
    uint64_t key = input.session != 0 ? input.session : input.prefix;
    if (key == 0) key = random.next();
    uint64_t highest = 0;
    for (size_t i = 0; i < candidates.size(); i++) {
      const uint64_t weight = Random(key ^ spread(candidates[i].worker)).next();
      if (i > 0 && weight <= highest) continue;
      highest = weight;
      choice.index = i;
    }
    return choice;
  }

 private:
  static uint64_t spread(uint32_t worker) { return Random(worker).next(); }
};

}  // namespace

std::unique_ptr<Policy> make_consistent_hash() {
  return std::make_unique<ConsistentHash>();
}

}  // namespace bessemer
