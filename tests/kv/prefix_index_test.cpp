#include "worker/kv/prefix_index.h"

#include <map>
#include <optional>
#include <tuple>

#include <gtest/gtest.h>

#include "common/random.h"

namespace bessemer {
namespace {

using Ids = std::vector<int32_t>;

BlockName named(const Ids& ids, int32_t parent = kNoBlock, std::string_view root = "",
                BlockHash hash = {}) {
  return {parent, root, hash, ids};
}

TEST(PrefixIndex, FindsWhatWasInsertedUnderItsParent) {
  PrefixIndex index(4, 2);
  const Ids a{1, 2}, b{3, 4};
  index.insert(2, named(a));
  index.insert(0, named(b, 2));
  EXPECT_EQ(index.find(named(a)), 2);
  EXPECT_EQ(index.find(named(b, 2)), 0);
  EXPECT_EQ(index.find(named(b)), kNoBlock);
  EXPECT_EQ(index.find(named(a, 2)), kNoBlock);
  EXPECT_FALSE(index.is_leaf(2));
  EXPECT_TRUE(index.is_leaf(0));
  index.erase(0);
  EXPECT_TRUE(index.is_leaf(2));
  EXPECT_EQ(index.find(named(b, 2)), kNoBlock);
  EXPECT_EQ(index.size(), 1);
}

TEST(PrefixIndex, ANameHasOneNode) {
  PrefixIndex index(4, 1);
  const Ids a{1};
  EXPECT_EQ(index.insert(3, named(a)), 3);
  EXPECT_EQ(index.insert(2, named(a)), 3);
  EXPECT_EQ(index.insert(3, named(a)), 3);
  EXPECT_FALSE(index.contains(2));
  EXPECT_EQ(index.size(), 1);
}

// E8: what has the same hash and something else in it is something else.
TEST(PrefixIndex, EqualHashesIdentifyNothing) {
  PrefixIndex index(8, 2);
  const BlockHash same{7, 7};
  const Ids a{1, 2}, b{2, 1};
  index.insert(0, named(a, kNoBlock, "", same));
  EXPECT_EQ(index.find(named(b, kNoBlock, "", same)), kNoBlock) << "other ids";
  EXPECT_EQ(index.find(named(a, kNoBlock, "tenant", same)), kNoBlock) << "another root";
  EXPECT_EQ(index.find(named(a, 0, "", same)), kNoBlock) << "another parent";
  index.insert(1, named(b, kNoBlock, "", same));
  index.insert(2, named(a, kNoBlock, "tenant", same));
  index.insert(3, named(a, 0, "", same));
  EXPECT_EQ(index.find(named(a, kNoBlock, "", same)), 0);
  EXPECT_EQ(index.find(named(b, kNoBlock, "", same)), 1);
  EXPECT_EQ(index.find(named(a, kNoBlock, "tenant", same)), 2);
  EXPECT_EQ(index.find(named(a, 0, "", same)), 3);
}

TEST(PrefixIndex, ClearsAndBeginsAnew) {
  PrefixIndex index(2, 1);
  const Ids a{5};
  index.insert(0, named(a, kNoBlock, "x"));
  index.clear();
  EXPECT_EQ(index.size(), 0);
  EXPECT_EQ(index.find(named(a, kNoBlock, "x")), kNoBlock);
  index.insert(1, named(a, kNoBlock, "x"));
  EXPECT_EQ(index.find(named(a, kNoBlock, "x")), 1);
}

// Against a map from whole names, with hashes of one of two values, so that most of them collide.
TEST(PrefixIndex, AgreesWithAMap) {
  using Name = std::tuple<int32_t, std::string, Ids>;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    Random random(seed);
    constexpr int32_t kBlocks = 24;
    PrefixIndex index(kBlocks, 2);
    std::map<Name, int32_t> model;
    std::map<int32_t, Name> by_block;
    std::map<int32_t, int> children;
    for (int turn = 0; turn < 600; ++turn) {
      const Ids ids{static_cast<int32_t>(random.below(2)), static_cast<int32_t>(random.below(2))};
      int32_t parent = static_cast<int32_t>(random.below(kBlocks + 6)) - 6;
      if (parent < 0 || !by_block.contains(parent)) parent = kNoBlock;
      const std::string root = parent == kNoBlock && random.chance(0.5) ? "r" : "";
      const BlockName name = named(ids, parent, root, {random.below(2), 0});
      // The hash is part of how a name is looked up: of equal names it is always the same.
      const BlockName right = named(ids, parent, root, {static_cast<uint64_t>(ids[0]), 0});
      const auto found = model.find({parent, root, ids});
      EXPECT_EQ(index.find(right), found == model.end() ? kNoBlock : found->second);
      if (name.hash != right.hash) EXPECT_EQ(index.find(name), kNoBlock);
      const int32_t block = static_cast<int32_t>(random.below(kBlocks));
      EXPECT_EQ(index.contains(block), by_block.contains(block));
      if (by_block.contains(block)) {
        EXPECT_EQ(index.is_leaf(block), children[block] == 0);
        if (children[block] > 0) continue;
        const Name old = by_block.extract(block).mapped();
        model.erase(old);
        if (std::get<0>(old) != kNoBlock) --children[std::get<0>(old)];
        index.erase(block);
      } else if (found == model.end()) {
        index.insert(block, right);
        model[{parent, root, ids}] = block;
        by_block[block] = {parent, root, ids};
        if (parent != kNoBlock) ++children[parent];
      }
      ASSERT_EQ(index.size(), static_cast<int32_t>(model.size())) << seed;
    }
  }
}

TEST(PrefixIndexDeathTest, MisuseStopsTheProcess) {
  const Ids a{1}, b{2};
  PrefixIndex index(3, 1);
  index.insert(0, named(a));
  index.insert(1, named(b, 0));
  EXPECT_DEATH(index.erase(0), "invariant broken");                // X3: not a leaf
  EXPECT_DEATH(index.insert(2, named(a, 2)), "invariant broken");  // X3: under no node
  EXPECT_DEATH(index.insert(0, named(b)), "invariant broken");     // under a second name
}

}  // namespace
}  // namespace bessemer
