// The worker with the least work in front of a new request, in seconds: the prompt tokens it has
// not computed yet at its own measured speed, plus what each running sequence will cost the new one
// while it decodes. Ties go to a random one, so that routers which see the same load do not herd.
#include <algorithm>
#include <vector>

#include "router/routing/policy.h"

namespace bessemer {
namespace {

// Before a worker has measured itself: the order of magnitude of a small model on a CPU. Only
// ratios between workers matter.
constexpr double kUnknownPrefillTokensPerSecond = 500;
constexpr double kUnknownStepSeconds = 0.01;
// Steps over which running sequences are counted as company (CLUSTER.md's H).
constexpr double kHorizonSteps = 20;
// Scores this close are equal: the readings are a report interval old.
constexpr double kTieSeconds = 0.002;
constexpr double kTieShare = 0.02;

double score(const Candidate& candidate) {
  const LoadReading& load = candidate.reading;
  const double speed = load.prefill_tok_s > 0 ? load.prefill_tok_s : kUnknownPrefillTokensPerSecond;
  const double step = load.step_us > 0 ? load.step_us * 1e-6 : kUnknownStepSeconds;
  return static_cast<double>(load.backlog_tokens) / speed +
         static_cast<double>(candidate.sequences) * step * kHorizonSteps;
}

class LeastLoaded final : public Policy {
 public:
  size_t choose(std::span<const Candidate> candidates, const PlacementInput&,
                Random& random) override {
    scores_.clear();
    for (const auto& candidate : candidates) scores_.push_back(score(candidate));
    const double best = *std::min_element(scores_.begin(), scores_.end());
    const double limit = best + std::max(kTieSeconds, best * kTieShare);
    const auto ties = static_cast<uint64_t>(
        std::count_if(scores_.begin(), scores_.end(), [&](double one) { return one <= limit; }));
    uint64_t pick = random.below(ties);
    for (size_t i = 0; i < scores_.size(); i++) {
      if (scores_[i] <= limit && pick-- == 0) return i;
    }
    return 0;
  }

 private:
  std::vector<double> scores_;
};

}  // namespace

std::unique_ptr<Policy> make_least_loaded() {
  return std::make_unique<LeastLoaded>();
}

}  // namespace bessemer
