// SGLang's router, policy cache_aware: a tree of the prompts it has sent where, and a count of its
// requests under way on each worker.
//   Where the counts differ by more than balance_abs_threshold and by more than the factor
//   balance_rel_threshold, the worker with the fewest gets the request; else, if more than
//   cache_threshold of the prompt is in the tree, whoever has the deepest part of it; else the
//   worker with the smallest tree. Every eviction_interval the oldest leaves beyond max_tree_size
//   go.
//
// Facts: sgl-router of commit 026f853 and the defaults of its successor's reference
// (cache_threshold 0.3, balance_abs_threshold 64, balance_rel_threshold 1.5, eviction_interval 120
// s, max_tree_size 2^26 characters). The tree here has blocks for nodes, the original's has
// characters: up to a block of each match is lost, against 0.3 of a prompt that decides. Of several
// workers with the deepest part the original takes whichever its hash map lists first; here they
// are drawn.
#include <algorithm>
#include <map>
#include <unordered_map>

#include "tests/sim/rivals/rival.h"

namespace bessemer::sim {
namespace {

constexpr double kCacheThreshold = 0.3, kRelativeThreshold = 1.5;
constexpr int64_t kAbsoluteThreshold = 64;
constexpr Duration kEvictionInterval = std::chrono::seconds(120);
constexpr int64_t kCharactersPerToken = 4, kMostCharacters = 1 << 26;

// What one worker was sent: its share of the tree.
struct Sent {
  struct Age {
    TimePoint used{};
    size_t depth = 0;
  };
  int64_t under_way = 0;
  int64_t tail_tokens = 0;  // of all prompts, behind their full blocks: they share nothing
  std::unordered_map<uint64_t, Age> blocks;

  int64_t tokens(int32_t block_tokens) const {
    return static_cast<int64_t>(blocks.size()) * block_tokens + tail_tokens;
  }

  // The oldest leaves first: of one prompt, the deepest.
  void evict(size_t most) {
    if (blocks.size() <= most) return;
    std::vector<std::pair<Age, uint64_t>> all;
    for (const auto& [hash, age] : blocks) all.push_back({age, hash});
    std::ranges::sort(all, [](const auto& a, const auto& b) {
      return a.first.used != b.first.used ? a.first.used < b.first.used
                                          : a.first.depth > b.first.depth;
    });
    all.resize(blocks.size() - most);
    for (const auto& [age, hash] : all) blocks.erase(hash);
  }
};

class Sglang final : public Policy, public Follower {
 public:
  Choice choose(std::span<const Candidate> candidates, const PlacementInput&,
                Random& random) override {
    Choice choice;
    choice.index = is_imbalanced(candidates) ? fewest(candidates) : by_tree(candidates, random);
    return choice;
  }

  void asks(std::span<const uint64_t> blocks, TimePoint now) override {
    now_ = now;
    asked_.assign(blocks.begin(), blocks.end());
  }
  void placed(uint64_t request, const Candidate& where, const PlacementInput& input) override {
    Sent& sent = workers_[where.worker];
    ++sent.under_way;
    sent.tail_tokens +=
        input.prompt_tokens - static_cast<int64_t>(asked_.size()) * where.block_tokens;
    live_[request] = where.worker;
    for (size_t depth = 0; depth < asked_.size(); ++depth)
      sent.blocks[asked_[depth]] = {now_, depth};
    if (now_ - last_eviction_ < kEvictionInterval) return;
    last_eviction_ = now_;
    const int64_t most = kMostCharacters / kCharactersPerToken / std::max(where.block_tokens, 1);
    for (auto& [worker, each] : workers_) each.evict(static_cast<size_t>(most));
  }
  void first_token(uint64_t) override {}
  void ended(uint64_t request) override {
    const auto at = live_.find(request);
    --workers_[at->second].under_way;
    live_.erase(at);
  }

 private:
  int64_t under_way(const Candidate& one) { return workers_[one.worker].under_way; }

  bool is_imbalanced(std::span<const Candidate> candidates) {
    int64_t least = under_way(candidates[0]), most = least;
    for (const Candidate& one : candidates) {
      least = std::min(least, under_way(one));
      most = std::max(most, under_way(one));
    }
    return most - least > kAbsoluteThreshold &&
           static_cast<double>(most) > kRelativeThreshold * static_cast<double>(least);
  }
  size_t fewest(std::span<const Candidate> candidates) {
    const auto at = std::ranges::min_element(candidates, {},
                                             [&](const Candidate& one) { return under_way(one); });
    return static_cast<size_t>(at - candidates.begin());
  }
  size_t by_tree(std::span<const Candidate> candidates, Random& random) {
    size_t deepest = 0;
    std::vector<size_t> holders;
    for (size_t i = 0; i < candidates.size(); ++i) {
      const size_t depth = depth_on(candidates[i].worker);
      if (depth > deepest) holders.clear();
      deepest = std::max(deepest, depth);
      if (depth == deepest) holders.push_back(i);
    }
    const double share =
        asked_.empty() ? 0 : static_cast<double>(deepest) / static_cast<double>(asked_.size());
    if (share > kCacheThreshold) return holders[random.below(holders.size())];
    const auto smallest = std::ranges::min_element(candidates, {}, [&](const Candidate& one) {
      return workers_[one.worker].tokens(one.block_tokens);
    });
    return static_cast<size_t>(smallest - candidates.begin());
  }
  size_t depth_on(uint32_t worker) {
    const Sent& sent = workers_[worker];
    size_t depth = 0;
    while (depth < asked_.size() && sent.blocks.contains(asked_[depth])) ++depth;
    return depth;
  }

  TimePoint now_{}, last_eviction_{};
  std::vector<uint64_t> asked_;
  std::map<uint32_t, Sent> workers_;
  std::unordered_map<uint64_t, uint32_t> live_;
};

}  // namespace

Contender make_sglang() {
  return contender_of<Sglang>();
}

}  // namespace bessemer::sim
