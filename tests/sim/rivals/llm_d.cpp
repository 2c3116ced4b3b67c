// llm-d's inference scheduler: every scorer gives each endpoint a number in [0, 1], the weighted
// sum decides, equals are drawn.
//
// Facts: Gateway API Inference Extension, scorers of commits 02308be (queue) and 00913f9 (prefix),
// and the configuration of llm-d's guide to precise prefix routing (v0.4):
//   prefix-cache-scorer 3         matched blocks over the prompt's blocks
//   queue-scorer 2                (most - waiting) / (most - least); 1 for all where both are equal
//   kv-cache-utilization-scorer 2 1 - the share of the KV cache that running requests hold
//   no-hit-lru-scorer 2           0.5 for all once anybody has a block of the prompt; else by when
//                                 an endpoint last got such a cold prompt, the longest ago 1
#include <algorithm>
#include <map>

#include "tests/sim/rivals/rival.h"

namespace bessemer::sim {
namespace {

constexpr double kPrefixWeight = 3, kQueueWeight = 2, kUsageWeight = 2, kColdWeight = 2;

class LlmD final : public Policy {
 public:
  Choice choose(std::span<const Candidate> candidates, const PlacementInput& input,
                Random& random) override {
    const bool cold = std::ranges::all_of(
        candidates, [](const Candidate& one) { return one.matched_tokens == 0; });
    rank_by_age(candidates);
    const auto [least, most] = queue_bounds(candidates);
    std::vector<double> scores;
    for (const Candidate& one : candidates) {
      const double waiting = one.reading.waiting;
      const double queue = most == least ? 1 : (most - waiting) / (most - least);
      scores.push_back(kPrefixWeight * prefix_share(one, input) + kQueueWeight * queue +
                       kUsageWeight * (1 - usage(one)) +
                       kColdWeight * (cold ? cold_score(one) : 0.5));
    }
    Choice choice;
    choice.index = draw_best(scores, random);
    if (cold) last_cold_[candidates[choice.index].worker] = ++cold_prompts_;
    return choice;
  }

 private:
  static double prefix_share(const Candidate& one, const PlacementInput& input) {
    const int64_t blocks = one.block_tokens == 0 ? 0 : input.prompt_tokens / one.block_tokens;
    return blocks == 0 ? 0
                       : static_cast<double>(one.matched_tokens / one.block_tokens) /
                             static_cast<double>(blocks);
  }
  static double usage(const Candidate& one) {
    const LoadReading& load = one.reading;
    return load.kv_total == 0 ? 0 : 1 - static_cast<double>(load.kv_free) / load.kv_total;
  }
  static std::pair<double, double> queue_bounds(std::span<const Candidate> candidates) {
    const auto [least, most] = std::ranges::minmax(
        candidates, {}, [](const Candidate& one) { return one.reading.waiting; });
    return {least.reading.waiting, most.reading.waiting};
  }
  static size_t draw_best(const std::vector<double>& scores, Random& random) {
    const double best = std::ranges::max(scores);
    uint64_t pick = random.below(static_cast<uint64_t>(std::ranges::count(scores, best)));
    for (size_t i = 0; i < scores.size(); ++i) {
      if (scores[i] == best && pick-- == 0) return i;
    }
    return 0;
  }

  // Those that never had a cold prompt first, then by age.
  void rank_by_age(std::span<const Candidate> candidates) {
    order_.clear();
    for (const Candidate& one : candidates) order_.push_back(one.worker);
    std::ranges::sort(order_, {}, [&](uint32_t worker) {
      const auto at = last_cold_.find(worker);
      return std::pair(at == last_cold_.end() ? 0 : at->second, worker);
    });
  }
  double cold_score(const Candidate& one) const {
    if (order_.size() < 2) return 1;
    const auto rank = std::ranges::find(order_, one.worker) - order_.begin();
    return 1 - static_cast<double>(rank) / static_cast<double>(order_.size() - 1);
  }

  std::map<uint32_t, uint64_t> last_cold_;  // by worker
  uint64_t cold_prompts_ = 0;
  std::vector<uint32_t> order_;
};

}  // namespace

Contender make_llm_d() {
  return {std::make_unique<LlmD>(), nullptr};
}

}  // namespace bessemer::sim
