// Each worker in turn, whatever its load: for comparison, and for workers that are all alike.
#include "router/routing/policy.h"

namespace bessemer {
namespace {

class RoundRobin final : public Policy {
 public:
  // Turns follow worker ids, not positions, so that a worker which comes or goes does not make
  // another one skip its turn.
  Choice choose(std::span<const Candidate> candidates, const PlacementInput&,
                Random& random) override {
    if (!started_) {
      started_ = true;
      last_ = candidates[random.below(candidates.size())].worker;  // cores do not start in step
    }
    size_t next = 0;
    for (size_t i = 0; i < candidates.size(); i++) {
      if (distance(candidates[i].worker) < distance(candidates[next].worker)) next = i;
    }
    last_ = candidates[next].worker;
    Choice choice;
    choice.index = next;
    if (candidates.size() > 1) choice.reason = ChoiceReason::turn;
    return choice;
  }

 private:
  // Steps from the last worker to this one, forwards; its own turn comes last.
  uint32_t distance(uint32_t worker) const { return worker - last_ - 1; }

  bool started_ = false;
  uint32_t last_ = 0;
};

}  // namespace

std::unique_ptr<Policy> make_round_robin() {
  return std::make_unique<RoundRobin>();
}

}  // namespace bessemer
