// Experiment.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "router/routing/cost.h"
#include "tests/sim/rivals/rival.h"

namespace bessemer::sim {
namespace {
double knob(const char* name, double otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atof(text) : otherwise;
}
class Tuned final : public Policy {
 public:
  Choice choose(std::span<const Candidate> candidates, const PlacementInput& input,
                Random& random) override {
    costs_.clear();
    std::vector<double> queues;
    double sum = 0;
    for (const auto& one : candidates) queues.push_back(queue_seconds(one));
    for (double q : queues) sum += q;
    const double mean = sum / static_cast<double>(queues.size());
    std::ranges::sort(queues);
    const double ranked =
        rank_ < 0 ? mean
                  : queues[static_cast<size_t>(rank_ * static_cast<double>(queues.size() - 1))];
    const double now = input.prompt_tokens > 0 ? 0 : 0;
    (void)now;
    for (const auto& one : candidates) {
      const double missing =
          static_cast<double>(std::max<int64_t>(input.prompt_tokens - one.matched_tokens, 0));
      const double m = missing / prefill_speed(one);
      const double b = queue_seconds(one);
      const double evict =
          static_cast<double>(evicted(one, static_cast<int64_t>(missing))) / prefill_speed(one);
      const double seqs = static_cast<double>(one.sequences);
      const double price = 1 + k1_ * ranked + k3_ * b + k2_ * one.reading.waiting + k4_ * seqs;
      double cost = kq_ * (w_ > 0 ? std::min(b, w_ * m + c_) : b) + kb_ * b + price * m +
                    (hq_ > 0 ? seqs * hq_ : company_seconds(one, h_)) +
                    mu_ * (muprice_ > 0 ? price : 1.0) * evict;
      cost += k6_ * sent_[one.worker] / prefill_speed(one);
      costs_.push_back(cost);
    }
    const size_t best = least(costs_);
    Choice choice;
    choice.index = drawn_tie(costs_, costs_[best], random);
    const double limit = tie_limit(costs_[best]);
    for (size_t i = 0; i < candidates.size(); i++) {
      if (input.last_worker == candidates[i].worker && costs_[i] <= limit) choice.index = i;
    }
    const Candidate& chosen = candidates[choice.index];
    for (auto& [worker, tokens] : sent_)
      tokens *= 1 - (1 - decay_) * 8 / static_cast<double>(candidates.size());
    sent_[chosen.worker] +=
        static_cast<double>(std::max<int64_t>(input.prompt_tokens - chosen.matched_tokens, 0));
    choice.seconds = costs_[choice.index];
    choice.next_seconds = least_but(costs_, choice.index);
    choice.ttft_seconds = queue_seconds(chosen) +
                          prefill_seconds(chosen, input.prompt_tokens - chosen.matched_tokens);
    return choice;
  }

 private:
  static int64_t evicted(const Candidate& candidate, int64_t tokens) {
    const LoadReading& load = candidate.reading;
    if (candidate.block_tokens <= 0 || load.kv_total == 0) return 0;
    const int64_t needed = (tokens + candidate.block_tokens - 1) / candidate.block_tokens;
    const int64_t unused = int64_t{load.kv_free} - load.kv_cached;
    return std::clamp<int64_t>(needed - unused, 0, std::max<int64_t>(load.kv_cached, 0)) *
           candidate.block_tokens;
  }
  const double kq_ = knob("KQ", 1), w_ = knob("W", 0), c_ = knob("C", 0), kb_ = knob("KB", 0),
               k1_ = knob("K1", 1), k2_ = knob("K2", 0), k3_ = knob("K3", 0), k4_ = knob("K4", 0),
               hq_ = knob("HQ", 0), k6_ = knob("K6", 0), mu_ = knob("MU", 0.5), h_ = knob("H", 20),
               rank_ = knob("RANK", 0), decay_ = knob("DECAY", 0.999),
               muprice_ = knob("MUPRICE", 1);
  std::vector<double> costs_;
  std::map<uint32_t, double> sent_;
};
}  // namespace
Contender make_tuned() {
  return {std::make_unique<Tuned>(), nullptr};
}
}  // namespace bessemer::sim
