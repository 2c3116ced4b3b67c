// E10: what is cached of a chain is always a beginning of it, as one sees who mirrors the cache from
// its log: nothing is stored before its parent, nothing removed before its children. And the mirror
// is exact.
#pragma once
#include <bit>
#include <map>
#include <set>
#include <vector>

#include "tests/engine/checkers/checker.h"
#include "tests/engine/checkers/e8_identity.h"

namespace bessemer {

class CachesBeginnings final : public Checker {
 public:
  CachesBeginnings(Complain complain, uint64_t hash_domain) : Checker(std::move(complain)) {
    for (uint64_t seed = 0; seed < kRoots; ++seed) {
      roots_.insert(chain_root(hash_domain, root_of_seed(seed)).low);
    }
  }

  void on_plan(const StepPlan&, const Scheduler& scheduler) override { read(scheduler.kv()); }
  void on_commit(const Scheduler& scheduler) override { read(scheduler.kv()); }
  void on_idle(const Scheduler& scheduler) override {
    read(scheduler.kv());
    expect(static_cast<int32_t>(parents_.size()) == scheduler.kv().cached_count(),
           "E10: the log and the pools disagree on what is cached");
  }

 private:
  using Block = std::pair<int32_t, uint64_t>;  // group, hash

  void read(const KvSpace& kv) {
    std::vector<KvChange> changes;
    KvEventLog::State now;
    expect(kv.events().read(seen_, SIZE_MAX, changes, now), "the log has lost changes");
    seen_ += changes.size();
    for (const KvChange& change : changes) see(change);
    uint64_t digest = 0;
    for (const auto& [block, parent] : parents_) digest ^= std::rotl(block.second, block.first);
    expect(digest == now.digest && parents_.size() == now.count, "the log's digest is another");
  }
  void see(const KvChange& change) {
    const Block block{change.group, change.hash}, parent{change.group, change.parent};
    switch (change.kind) {
      case KvChange::Kind::stored:
        expect(parents_.contains(parent) || roots_.contains(change.parent),
               "E10: stored before its parent");
        expect(parents_.emplace(block, parent).second, "stored twice");
        ++children_[parent];
        break;
      case KvChange::Kind::removed:
        expect(children_[block] == 0, "E10: removed before its children");
        expect(parents_.contains(block), "removed, and was not there");
        --children_[parents_[block]];
        parents_.erase(block);
        break;
      case KvChange::Kind::cleared:
        parents_.clear();
        children_.clear();
        break;
    }
  }

  std::set<uint64_t> roots_;
  uint64_t seen_ = 0;
  std::map<Block, Block> parents_;
  std::map<Block, int> children_;
};

}  // namespace bessemer
