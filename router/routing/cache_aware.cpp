// The worker on which the request costs least, in seconds, its own wait and what it takes from
// others together (CLUSTER.md, "Choosing a worker"):
//
//   min(backlog, omega missing) / P    the prompts in front of it
//   + price missing / P                its own prompt, less what the worker's cache has of it
//   + sigma H sequences                the company while it decodes, H at most max_tokens
//   + mu price evicted / P             what has to leave the cache, to be computed again by others
//   + nu missing / prompt recent / P   what it was sent to compute of late
//   price = 1 + lambda + backlog / P
//
// P is the worker's prefill speed. omega is there since a short prompt does not wait for long ones:
// a step's rows go half to the first and half to those that want least
// (worker/engine/row_shares.h). For the same reason the worker's own backlog is in the price: what
// a long prompt adds, those who queue there wait for. lambda, the price of prompt tokens, is the
// queue of the least busy worker, in seconds: 0 while anybody is idle, so that load spreads, and
// large when prompts queue everywhere, so that hits are protected. It is not the mean queue, which
// a single hot worker raises: of two workers, neither would ever leave the one that has four
// seconds of its prompt, however long the other's queue.
//
// recent is there since caches bring conversations back: who has computed more of late will be
// asked more soon, and no queue says so yet. Without it an idle cluster's conversations gather
// where the first few happened to begin. It counts by the share of the prompt that is new to the
// worker: a conversation that is there already is not driven away.
#include <algorithm>
#include <unordered_map>

#include "router/routing/cost.h"

namespace bessemer {
namespace {

// Tokens of cached blocks that `tokens` new ones displace.
int64_t evicted_tokens(const Candidate& candidate, int64_t tokens) {
  const LoadReading& load = candidate.reading;
  if (candidate.block_tokens <= 0 || load.kv_total == 0) return 0;
  const int64_t needed = (tokens + candidate.block_tokens - 1) / candidate.block_tokens;
  const int64_t unused = int64_t{load.kv_free} - load.kv_cached;
  return std::clamp<int64_t>(needed - unused, 0, load.kv_cached) * candidate.block_tokens;
}

// Prompt tokens that each worker was sent to compute, in about the last kPlacements placements for
// each worker that there is.
class RecentTokens {
 public:
  double of(uint32_t worker) const {
    const auto found = sums_.find(worker);
    return found == sums_.end() ? 0 : found->second * scale_;
  }
  void add(uint32_t worker, int64_t tokens, size_t workers) {
    // All sums shrink with every placement; the scale does it for them.
    scale_ *= 1 - 1 / (kPlacements * static_cast<double>(workers) + 1);
    sums_[worker] += static_cast<double>(tokens) / scale_;
    if (scale_ > kLeastScale) return;
    for (auto& [each, sum] : sums_) sum *= scale_;
    scale_ = 1;
  }

 private:
  static constexpr double kPlacements = 6;
  static constexpr double kLeastScale = 1e-100;  // far from what a double can hold
  double scale_ = 1;
  std::unordered_map<uint32_t, double> sums_;  // over scale_; by worker: kMaxWorkers at most
};

class CacheAware final : public Policy {
 public:
  explicit CacheAware(const CostWeights& weights) : weights_(weights) {}

  Choice choose(std::span<const Candidate> candidates, const PlacementInput& input,
                Random& random) override {
    const double lambda = weights_.scarcity * ranked_queue(candidates);
    costs_.clear();
    cold_costs_.clear();
    for (const auto& one : candidates) {
      costs_.push_back(cost(one, input, missing_tokens(one, input), lambda));
      cold_costs_.push_back(cost(one, input, input.prompt_tokens, lambda));
    }
    Choice choice = pick(candidates, input, random);
    choice.seconds = costs_[choice.index];
    choice.next_seconds = least_but(costs_, choice.index);
    choice.ttft_seconds = ttft_seconds(candidates[choice.index], input);
    return choice;
  }
  void sent(const Candidate& where, const PlacementInput& input, size_t candidates) override {
    recent_.add(where.worker, missing_tokens(where, input), candidates);
  }

 private:
  // With `tokens` of the prompt to be computed.
  double cost(const Candidate& one, const PlacementInput& input, int64_t tokens,
              double lambda) const {
    const double queue = queue_seconds(one), own = prefill_seconds(one, tokens);
    const double evicted = prefill_seconds(one, evicted_tokens(one, tokens));
    const double price = 1 + lambda + weights_.crowding * queue;
    const double recent = recent_.of(one.worker) / prefill_speed(one);
    const double share = static_cast<double>(tokens) /
                         static_cast<double>(std::max<int64_t>(input.prompt_tokens, 1));
    const double steps = std::min(weights_.horizon_steps, static_cast<double>(input.max_tokens));
    return std::min(queue, weights_.overtaking * own) + price * (own + weights_.regret * evicted) +
           company_seconds(one, steps) + weights_.recent * share * recent;
  }
  double ranked_queue(std::span<const Candidate> candidates) {
    queues_.clear();
    for (const auto& one : candidates) queues_.push_back(queue_seconds(one));
    const auto rank =
        static_cast<ptrdiff_t>(weights_.queue_rank * static_cast<double>(queues_.size() - 1));
    std::ranges::nth_element(queues_, queues_.begin() + rank);
    return queues_[static_cast<size_t>(rank)];
  }

  Choice pick(std::span<const Candidate> candidates, const PlacementInput& input, Random& random) {
    Choice choice;
    if (candidates.size() == 1) return choice;
    const size_t best = least(costs_);
    const double limit = tie_limit(costs_[best]);
    for (size_t i = 0; i < candidates.size(); i++) {
      if (input.last_worker != candidates[i].worker || costs_[i] > limit) continue;
      choice.index = i;
      choice.reason = i == best ? reason_of(candidates, best) : ChoiceReason::session;
      return choice;
    }
    choice.index = drawn_tie(costs_, costs_[best], random);
    choice.reason = choice.index == best ? reason_of(candidates, best) : ChoiceReason::tie;
    return choice;
  }
  ChoiceReason reason_of(std::span<const Candidate> candidates, size_t best) const {
    const size_t cold = least(cold_costs_);
    const bool by_cache = candidates[best].matched_tokens > candidates[cold].matched_tokens;
    return by_cache ? ChoiceReason::prefix : ChoiceReason::load;
  }

  const CostWeights weights_;
  RecentTokens recent_;
  std::vector<double> costs_, cold_costs_;  // the latter if nobody had anything of the prompt
  std::vector<double> queues_;
};

}  // namespace

std::unique_ptr<Policy> make_cache_aware(const CostWeights& weights) {
  return std::make_unique<CacheAware>(weights);
}

}  // namespace bessemer
