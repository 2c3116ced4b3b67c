// The less loaded one of two workers drawn at random (Mitzenmacher, "The power of two choices in
// randomized load balancing", 2001): needs no look at all workers. Knows nothing of caches: for
// comparison.
#include "router/routing/cost.h"

namespace bessemer {
namespace {

class PowerOfTwo final : public Policy {
 public:
  Choice choose(std::span<const Candidate> candidates, const PlacementInput& input,
                Random& random) override {
    Choice choice;
    choice.index = random.below(candidates.size());
    choice.seconds = cost(candidates[choice.index]);
    choice.next_seconds = std::numeric_limits<double>::infinity();
    if (candidates.size() > 1) {
      size_t other = random.below(candidates.size() - 1);
      if (other >= choice.index) other++;
      choice.next_seconds = cost(candidates[other]);
      choice.reason = ChoiceReason::sample;
      if (choice.next_seconds < choice.seconds) {
        std::swap(choice.seconds, choice.next_seconds);
        choice.index = other;
      }
    }
    choice.ttft_seconds = ttft_seconds(candidates[choice.index], input);
    return choice;
  }

 private:
  static double cost(const Candidate& candidate) {
    return queue_seconds(candidate) + company_seconds(candidate);
  }
};

}  // namespace

std::unique_ptr<Policy> make_power_of_two() {
  return std::make_unique<PowerOfTwo>();
}

}  // namespace bessemer
