// Known blocks in pool and space: who may have them, in which order they go, and that what is found
// is what was put there.
#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"
#include "worker/kv/kv_space.h"

namespace bessemer {
namespace {

using ::testing::ElementsAre;
using Ids = std::vector<int32_t>;

constexpr int32_t kTokens = 2;

// Two groups of six blocks.
class PrefixCache : public ::testing::Test {
 protected:
  // A sequence of these tokens from its first row to its last full block: what the cache has is
  // taken, the rest is computed.
  KvTable computed(const Ids& ids, std::string_view root = "") {
    KvTable table = space_.make_table();
    space_.adopt(table, find(ids, root));
    space_.grow(table, static_cast<int32_t>(ids.size()), copies_);
    enter(table, ids, root);
    return table;
  }
  PrefixMatch find(const Ids& ids, std::string_view root = "") const {
    return space_.find({root, ids, space_.hashes_of(root, ids)});
  }
  void enter(KvTable& table, const Ids& ids, std::string_view root = "") {
    const size_t blocks = ids.size() / kTokens;
    while (static_cast<size_t>(table.entered) < blocks) {
      const auto at = static_cast<size_t>(table.entered) * kTokens;
      space_.enter(table, root, std::span(ids).subspan(at, kTokens), replaced_);
    }
    space_.check();
  }
  static std::vector<int32_t> blocks_of(const KvTable& table, size_t group = 0) {
    std::vector<int32_t> ids;
    for (const BlockRef& ref : table.groups[group].blocks) ids.push_back(ref.id());
    return ids;
  }

  const std::vector<KvGroupSize> sizes_ = {{kTokens, 6}, {kTokens, 6}};
  KvSpace space_{sizes_, {.on = true}};
  std::vector<CopyOnWrite> copies_;
  std::vector<Replaced> replaced_;
};

TEST_F(PrefixCache, KeepsFullBlocksOfWhoIsGone) {
  KvTable table = computed({1, 2, 3, 4, 5});
  const auto blocks = blocks_of(table);
  EXPECT_EQ(find({1, 2, 3, 4, 9, 9}).groups[0], std::vector(blocks.begin(), blocks.begin() + 2));
  table.clear();
  EXPECT_EQ(space_.cached_count(), 4);  // two in each group; the half one is free
  EXPECT_EQ(space_.held_count(), 0);
  EXPECT_EQ(find({1, 2, 3, 4, 9, 9}).blocks, 2);
  EXPECT_EQ(find({1, 2, 9, 9}).blocks, 1);
  EXPECT_EQ(find({9, 2, 3, 4}).blocks, 0);
  KvTable next = computed({1, 2, 3, 4, 5, 6});
  EXPECT_EQ(blocks_of(next)[1], blocks[1]);
  EXPECT_EQ(space_.cached_count(), 0);
  EXPECT_EQ(space_.held_count(), 6);
}

TEST_F(PrefixCache, RootsShareNothing) {
  const KvTable ours = computed({1, 2, 3, 4}, "us");
  EXPECT_EQ(find({1, 2, 3, 4}, "us").blocks, 2);
  EXPECT_EQ(find({1, 2, 3, 4}, "them").blocks, 0);
  EXPECT_EQ(find({1, 2, 3, 4}).blocks, 0);
}

TEST_F(PrefixCache, GivesUpTheLongestUnusedLeavesFirst) {
  computed({1, 2, 3, 4});  // let go of at once
  computed({1, 2, 5, 6});  // uses the first block again
  computed({7, 8});
  ASSERT_EQ(space_.pool(0).cached_count(), 4);
  ASSERT_EQ(space_.pool(0).free_count(), 2);
  KvTable taker = space_.make_table();
  const auto rest = [&](int32_t rows) {
    space_.grow(taker, rows, copies_);
    space_.check();
    return std::vector<int32_t>{find({1, 2, 3, 4}).blocks, find({1, 2, 5, 6}).blocks,
                                find({7, 8}).blocks};
  };
  EXPECT_THAT(rest(2 * kTokens), ElementsAre(2, 2, 1));
  EXPECT_THAT(rest(3 * kTokens), ElementsAre(1, 2, 1));  // the leaf 3 4, not its parent
  EXPECT_THAT(rest(4 * kTokens), ElementsAre(1, 1, 1));
  EXPECT_THAT(rest(5 * kTokens), ElementsAre(0, 0, 1));
  EXPECT_THAT(rest(6 * kTokens), ElementsAre(0, 0, 0));
}

TEST_F(PrefixCache, AnEqualBlockTakesThePlaceOfALaterOne) {
  KvTable first = space_.make_table(), second = space_.make_table();
  space_.grow(first, 4, copies_);
  space_.grow(second, 4, copies_);
  KvTable fork = space_.fork(second, 4);
  enter(first, {1, 2, 3, 4});
  const auto own = blocks_of(second);
  enter(second, {1, 2, 3, 4});
  EXPECT_EQ(blocks_of(second), blocks_of(first));
  ASSERT_EQ(replaced_.size(), 4u);  // two blocks in two groups
  EXPECT_EQ(replaced_[0].from, own[0]);
  EXPECT_EQ(replaced_[0].to, blocks_of(first)[0]);
  EXPECT_EQ(space_.pool(0).held_count(), 4);  // the fork has the old ones yet
  for (const Replaced& each : replaced_) EXPECT_TRUE(space_.replace(fork, each));
  for (const Replaced& each : replaced_) EXPECT_FALSE(space_.replace(fork, each));
  EXPECT_EQ(blocks_of(fork), blocks_of(first));
  EXPECT_EQ(space_.pool(0).held_count(), 2);
}

// K5, and no block more than without a cache: else a fork that fits alone might not.
TEST_F(PrefixCache, AForkMakesTheBlockUnknownThatItGoesOnIn) {
  KvTable owner = computed({1, 2, 3, 4});
  KvTable fork = space_.fork(owner, 3);
  const int32_t shared = fork.groups[0].partial.id();
  owner.clear();
  EXPECT_EQ(find({1, 2, 3, 4}).blocks, 2);
  space_.grow(fork, 4, copies_);
  EXPECT_TRUE(copies_.empty());
  EXPECT_EQ(fork.groups[0].blocks[1].id(), shared);
  EXPECT_EQ(find({1, 2, 3, 4}).blocks, 1);
}

TEST_F(PrefixCache, AForkCopiesABlockThatOthersContinue) {
  KvTable owner = computed({1, 2, 3, 4, 5, 6});
  KvTable fork = space_.fork(owner, 3);
  const int32_t shared = fork.groups[0].partial.id();
  owner.clear();  // the fork is the last owner, but 5 6 is cached behind it
  EXPECT_EQ(space_.room_for(fork, 4), Room::now);
  space_.grow(fork, 4, copies_);
  ASSERT_EQ(copies_.size(), 2u);
  EXPECT_NE(fork.groups[0].blocks[1].id(), shared);
  copies_.clear();
  EXPECT_EQ(find({1, 2, 3, 4, 5, 6}).blocks, 3);
  space_.check();
}

TEST_F(PrefixCache, WhatRetiresIsNotHandedOutButCanBeFound) {
  KvTable table = computed({1, 2, 3, 4});
  const auto blocks = blocks_of(table);
  space_.launched(1);
  table.clear();
  EXPECT_EQ(space_.cached_count(), 0);
  EXPECT_EQ(space_.room_for(space_.make_table(), 12), Room::later);
  EXPECT_EQ(space_.room_for(space_.make_table(), 8), Room::now);
  KvTable again = computed({1, 2, 3, 4});
  EXPECT_EQ(blocks_of(again), blocks);
  space_.completed(1);
  EXPECT_EQ(space_.held_count(), 4);
  space_.launched(2);
  again.clear();
  space_.completed(2);
  EXPECT_EQ(space_.cached_count(), 4);
  space_.check();
}

TEST_F(PrefixCache, WhatIsFoundCountsAsRoomOnlyOnce) {
  computed({1, 2, 3, 4, 5, 6, 7, 8});  // four blocks cached, two free
  const PrefixMatch found = find({1, 2, 3, 4, 5, 6});
  ASSERT_EQ(found.blocks, 3);
  const KvTable table = space_.make_table();
  EXPECT_EQ(space_.room_for(table, 12, 0, found), Room::now);
  EXPECT_EQ(space_.room_for(table, 12, 1, found), Room::none);
  EXPECT_EQ(space_.room_for(table, 14, 0, found), Room::none);
  KvTable holder = space_.make_table();
  space_.grow(holder, 2, copies_);
  EXPECT_EQ(space_.room_for(table, 12, 0, found), Room::none);
  EXPECT_EQ(space_.room_for(table, 10, 0, found), Room::now);
}

TEST_F(PrefixCache, DoubtfulBlocksAreForgottenButNotOthers) {
  KvTable other = computed({1, 2, 3, 4});
  KvTable doubtful = computed({1, 2, 5, 6, 7, 8});
  space_.forget(doubtful);
  EXPECT_EQ(doubtful.entered, 1);  // somebody else has that one
  EXPECT_EQ(find({1, 2, 5, 6, 7, 8}).blocks, 1);
  EXPECT_EQ(find({1, 2, 3, 4}).blocks, 2);
  doubtful.clear();
  other.clear();
  EXPECT_EQ(space_.pool(0).cached_count(), 2);
  space_.check();
}

TEST_F(PrefixCache, ALostDeviceEmptiesIt) {
  computed({1, 2, 3, 4});
  KvTable table = computed({5, 6});
  space_.launched(1);
  table.clear();  // retires
  space_.clear_cache();
  EXPECT_EQ(find({1, 2, 3, 4}).blocks + find({5, 6}).blocks, 0);
  EXPECT_EQ(space_.cached_count(), 0);
  space_.completed(1);
  EXPECT_EQ(space_.free_count(), space_.total());
  EXPECT_EQ(space_.events().state().count, 0u);
  space_.check();
}

TEST_F(PrefixCache, TellsItsLog) {
  KvTable table = computed({1, 2, 3, 4});
  std::vector<KvChange> changes;
  KvEventLog::State now;
  ASSERT_TRUE(space_.events().read(0, 100, changes, now));
  ASSERT_EQ(changes.size(), 4u);
  const Ids ids{1, 2, 3, 4};
  const auto hashes = space_.hashes_of("", ids);
  EXPECT_EQ(changes[0],
            (KvChange{KvChange::Kind::stored, 0, hashes[0].low, chain_root(0, "").low}));
  EXPECT_EQ(changes[1].group, 1);
  EXPECT_EQ(changes[2], (KvChange{KvChange::Kind::stored, 0, hashes[1].low, hashes[0].low}));
  table.clear();
  KvTable taker = space_.make_table();
  space_.grow(taker, 12, copies_);
  changes.clear();
  ASSERT_TRUE(space_.events().read(4, 100, changes, now));
  ASSERT_EQ(changes.size(), 4u);
  EXPECT_EQ(changes[0], (KvChange{KvChange::Kind::removed, 0, hashes[1].low, 0}));
}

TEST(PrefixCacheOff, KeepsNothing) {
  const std::vector<KvGroupSize> mixed = {{2, 4}, {4, 4}}, alike = {{2, 4}, {2, 4}};
  EXPECT_FALSE(KvSpace(mixed, {.on = true}).caches()) << "the chain has one block size";
  EXPECT_FALSE(KvSpace({}, {.on = true}).caches());
  EXPECT_FALSE(KvSpace(alike).caches());
  EXPECT_TRUE(KvSpace(alike, {.on = true}).caches());
}

BlockHash one_of_two(BlockHash parent, std::span<const int32_t> ids) {
  return {chain(parent, ids).low & 1, 0};
}

// Random sequences over three tokens, which grow, fork, end and begin alike, with steps in flight.
// The model: what has been written to each block, and which histories are known, by whole history.
class Model {
 public:
  explicit Model(uint64_t seed)
      : random_(seed),
        space_(std::vector<KvGroupSize>{{kTokens, 16}},
               {.on = true, .hash = seed % 2 == 0 ? chain : one_of_two}) {}

  void run(int turns) {
    for (int turn = 0; turn < turns; ++turn) {
      act();
      space_.check();
    }
    while (!sequences_.empty()) end(0);
    while (completed_ < launched_) space_.completed(++completed_);
    space_.check();
    EXPECT_EQ(space_.held_count(), 0);
    EXPECT_EQ(space_.cached_count(), static_cast<int32_t>(known_.size()));
  }

 private:
  struct Sequence {
    std::string root;
    Ids ids;
    KvTable table;
  };
  using History = std::pair<std::string, Ids>;

  void act() {
    const uint64_t dice = random_.below(8);
    if (dice <= 1) begin();
    if (dice <= 4 && !sequences_.empty()) grow(sequences_[random_.below(sequences_.size())]);
    if (dice == 5 && !sequences_.empty()) end(random_.below(sequences_.size()));
    if (dice == 6 && launched_ < completed_ + 3) space_.launched(++launched_);
    if (dice == 7 && completed_ < launched_) space_.completed(++completed_);
  }
  int32_t token() { return static_cast<int32_t>(random_.below(2)); }
  Ids first(const Ids& ids, size_t blocks) const {
    return {ids.begin(), ids.begin() + static_cast<ptrdiff_t>(blocks) * kTokens};
  }

  void begin() {
    Sequence s{random_.chance(0.3) ? "tenant" : "", {}, space_.make_table()};
    for (uint64_t i = random_.below(12); i > 0; --i) s.ids.push_back(token());
    const auto hashes = space_.hashes_of(s.root, s.ids);
    const PrefixMatch found = space_.find({s.root, s.ids, hashes});
    size_t expected = 0;
    while (expected < hashes.size() && known_.contains({s.root, first(s.ids, expected + 1)}))
      ++expected;
    ASSERT_EQ(found.blocks, static_cast<int32_t>(expected));
    for (size_t i = 0; i < expected; ++i) {
      const int32_t block = found.groups[0][i];
      EXPECT_EQ(block, known_.at({s.root, first(s.ids, i + 1)}));
      EXPECT_EQ(written_.at(block), (History{s.root, first(s.ids, i + 1)}));
    }
    const int32_t rows = static_cast<int32_t>(s.ids.size());
    if (space_.room_for(s.table, rows, 0, found) != Room::now) return;
    space_.adopt(s.table, found);
    add_blocks(s);
    enter(s);
    sequences_.push_back(std::move(s));
  }
  void grow(Sequence& s) {
    s.ids.push_back(token());
    if (space_.room_for(s.table, static_cast<int32_t>(s.ids.size())) != Room::now) {
      s.ids.pop_back();
      return;
    }
    add_blocks(s);
    enter(s);
  }
  // What was known of the blocks that are handed out again is known no longer; it was a leaf.
  void add_blocks(Sequence& s) {
    const size_t before = s.table.groups[0].blocks.size();
    std::vector<CopyOnWrite> copies;
    space_.grow(s.table, static_cast<int32_t>(s.ids.size()), copies);
    for (size_t i = before; i < s.table.groups[0].blocks.size(); ++i) {
      const int32_t block = s.table.groups[0].blocks[i].id();
      EXPECT_LE(let_go_[block], completed_) << "handed out while a step may touch it";
      for (auto at = known_.begin(); at != known_.end(); ++at) {
        if (at->second != block) continue;
        for (const auto& [history, other] : known_) {
          const Ids& longer = history.second;
          const bool continues =
              history.first == at->first.first && other != block &&
              longer.size() > at->first.second.size() &&
              std::equal(at->first.second.begin(), at->first.second.end(), longer.begin());
          EXPECT_FALSE(continues) << "evicted before what continues it";
        }
        known_.erase(at);
        break;
      }
      written_.erase(block);
    }
  }
  void enter(Sequence& s) {
    const size_t full = s.ids.size() / kTokens;
    for (size_t i = static_cast<size_t>(s.table.entered); i < full; ++i) {
      const int32_t own = s.table.groups[0].blocks[i].id();
      const History history{s.root, first(s.ids, i + 1)};
      written_[own] = history;
      const auto [at, is_new] = known_.emplace(history, own);
      std::vector<Replaced> replaced;
      space_.enter(s.table, s.root, std::span(s.ids).subspan(i * kTokens, kTokens), replaced);
      EXPECT_EQ(replaced.empty(), is_new);
      if (!is_new) let_go_[own] = launched_;
      EXPECT_EQ(s.table.groups[0].blocks[i].id(), at->second);
    }
  }
  void end(size_t at) {
    for (const BlockRef& block : sequences_[at].table.groups[0].blocks) {
      let_go_[block.id()] = launched_;
    }
    sequences_[at] = std::move(sequences_.back());
    sequences_.pop_back();
  }

  Random random_;
  KvSpace space_;
  std::vector<Sequence> sequences_;
  std::map<int32_t, History> written_;
  std::map<History, int32_t> known_;
  std::map<int32_t, uint64_t> let_go_;  // the newest step when somebody last let go of a block
  uint64_t launched_ = 0, completed_ = 0;
};

TEST(PrefixCacheModel, RandomSequencesFindWhatWasWritten) {
  for (uint64_t seed = 1; seed <= 200 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Model(seed).run(600);
  }
}

}  // namespace
}  // namespace bessemer
