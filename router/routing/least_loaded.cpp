// The worker with the least work in front of a new request, in seconds: the prompt tokens it has
// not computed yet at its own measured speed, plus what each running sequence will cost the new one
// while it decodes. Ties go to a random one, so that routers which see the same load do not herd.
// Knows nothing of caches: for comparison.
#include "router/routing/cost.h"

namespace bessemer {
namespace {

class LeastLoaded final : public Policy {
 public:
  Choice choose(std::span<const Candidate> candidates, const PlacementInput& input,
                Random& random) override {
    costs_.clear();
    for (const auto& one : candidates) costs_.push_back(queue_seconds(one) + company_seconds(one));
    const size_t best = least(costs_);
    Choice choice;
    choice.index = drawn_tie(costs_, costs_[best], random);
    choice.seconds = costs_[choice.index];
    choice.next_seconds = least_but(costs_, choice.index);
    choice.ttft_seconds = ttft_seconds(candidates[choice.index], input);
    if (candidates.size() > 1)
      choice.reason = choice.index == best ? ChoiceReason::load : ChoiceReason::tie;
    return choice;
  }

 private:
  std::vector<double> costs_;
};

}  // namespace

std::unique_ptr<Policy> make_least_loaded() {
  return std::make_unique<LeastLoaded>();
}

}  // namespace bessemer
