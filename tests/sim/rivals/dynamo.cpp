// NVIDIA Dynamo's KV router: the least of
//   cost = overlap_score_weight x prefill blocks + decode blocks
// where prefill blocks are the prompt tokens that the router has placed on the worker and seen no
// first token of, and the new prompt's, less what the index says is cached; decode blocks are the
// distinct blocks of the requests that live on the worker, the new one's among them. Equals are
// drawn (temperature 0).
//
// Facts: docs.dynamo.nvidia.com, "Routing Concepts" and "Router Design" of the development version
// of mid 2026, and the defaults of v1.0's frontend configuration: weight 1, temperature 0, active
// blocks tracked, reuse assumed, output blocks not tracked.
#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include "tests/sim/rivals/rival.h"

namespace bessemer::sim {
namespace {

constexpr double kOverlapWeight = 1;

class Dynamo final : public Policy, public Follower {
 public:
  Choice choose(std::span<const Candidate> candidates, const PlacementInput& input,
                Random& random) override {
    std::vector<double> costs;
    for (const Candidate& one : candidates) costs.push_back(cost(one, input));
    const double least = std::ranges::min(costs);
    uint64_t pick = random.below(static_cast<uint64_t>(std::ranges::count(costs, least)));
    Choice choice;
    for (size_t i = 0; i < costs.size(); ++i) {
      if (costs[i] == least && pick-- == 0) choice.index = i;
    }
    return choice;
  }

  void asks(std::span<const uint64_t> blocks, TimePoint) override {
    asked_.assign(blocks.begin(), blocks.end());
  }
  void placed(uint64_t request, const Candidate& where, const PlacementInput& input) override {
    Live live{where.worker, input.prompt_tokens - where.matched_tokens, asked_};
    Worker& worker = workers_[where.worker];
    worker.prefill_tokens += live.prefill_tokens;
    ++worker.requests;
    for (const uint64_t block : live.blocks) ++worker.blocks[block];
    live_[request] = std::move(live);
  }
  void first_token(uint64_t request) override {
    Live& live = live_.at(request);
    workers_[live.worker].prefill_tokens -= std::exchange(live.prefill_tokens, 0);
  }
  void ended(uint64_t request) override {
    first_token(request);
    const auto at = live_.find(request);
    Worker& worker = workers_[at->second.worker];
    --worker.requests;
    for (const uint64_t block : at->second.blocks) {
      if (--worker.blocks[block] == 0) worker.blocks.erase(block);
    }
    live_.erase(at);
  }

 private:
  struct Live {
    uint32_t worker = 0;
    int64_t prefill_tokens = 0;  // 0 from the first token on
    std::vector<uint64_t> blocks;
  };
  struct Worker {
    int64_t prefill_tokens = 0;
    int64_t requests = 0;  // each has one block of its own, that is not full
    std::unordered_map<uint64_t, int32_t> blocks;  // and by how many they are held
  };

  double cost(const Candidate& one, const PlacementInput& input) {
    const Worker& worker = workers_[one.worker];
    const auto new_blocks = std::ranges::count_if(
        asked_, [&](uint64_t block) { return !worker.blocks.contains(block); });
    const double prefill =
        static_cast<double>(worker.prefill_tokens + input.prompt_tokens - one.matched_tokens) /
        std::max(one.block_tokens, 1);
    const double decode = static_cast<double>(worker.blocks.size()) +
                          static_cast<double>(worker.requests + 1 + new_blocks);
    return kOverlapWeight * prefill + decode;
  }

  std::vector<uint64_t> asked_;
  std::map<uint32_t, Worker> workers_;
  std::unordered_map<uint64_t, Live> live_;
};

}  // namespace

Contender make_dynamo() {
  return contender_of<Dynamo>();
}

}  // namespace bessemer::sim
