#include "worker/kv/block_pool.h"

#include <deque>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "common/random.h"

namespace bessemer {
namespace {

BlockRef take(BlockPool& pool) {
  std::vector<BlockRef> refs;
  pool.allocate(1, refs);
  return std::move(refs[0]);
}

TEST(BlockPool, ABlockReturnsWithItsLastOwner) {
  BlockPool pool(2);
  BlockRef first = take(pool);
  {
    BlockRef second = first.share();
    EXPECT_EQ(second.id(), first.id());
    EXPECT_FALSE(first.is_exclusive());
    first.reset();
    EXPECT_EQ(pool.free_count(), 1);
    EXPECT_TRUE(second.is_exclusive());
  }
  EXPECT_EQ(pool.free_count(), 2);
  pool.check();
}

TEST(BlockPool, LaunchedStepsHoldWhatTheirOwnersLetGo) {
  BlockPool pool(1);
  BlockRef block = take(pool);
  pool.launched(1);
  pool.launched(2);
  block.reset();
  EXPECT_EQ(pool.free_count(), 0);
  EXPECT_EQ(pool.retiring_count(), 1);
  EXPECT_EQ(pool.held_count(), 1);
  pool.completed(1);
  EXPECT_EQ(pool.free_count(), 0);  // step 2 was launched too when it was let go
  pool.completed(2);
  EXPECT_EQ(pool.free_count(), 1);
  block = take(pool);
  block.reset();
  EXPECT_EQ(pool.free_count(), 1);  // nothing is in flight
  pool.check();
}

TEST(BlockPool, AssigningToARefLetsItsOldBlockGo) {
  BlockPool pool(2);
  BlockRef a = take(pool), b = take(pool);
  a = std::move(b);
  EXPECT_EQ(pool.free_count(), 1);
  EXPECT_FALSE(b);  // NOLINT: a moved-from ref is empty
  a.reset();
  a.reset();
  EXPECT_EQ(pool.free_count(), 2);
}

// Against a model that counts owners in a map and remembers who was let go when.
TEST(BlockPool, RandomUseKeepsItsInvariants) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    BlockPool pool(20);
    std::vector<BlockRef> refs;
    std::map<int32_t, int> owners;
    std::map<int32_t, uint64_t> let_go;  // block -> last step launched by then
    uint64_t launched = 0, completed = 0;
    const auto drop = [&](size_t at) {
      const int32_t block = refs[at].id();
      if (--owners[block] == 0) let_go[block] = launched;
      refs[at] = std::move(refs.back());
      refs.pop_back();
    };
    for (int turn = 0; turn < 1000; ++turn) {
      const uint64_t dice = random.below(6);
      if (dice <= 1 && pool.free_count() > 0) {
        pool.allocate(1, refs);
        const int32_t block = refs.back().id();
        ASSERT_EQ(owners[block], 0);
        ASSERT_TRUE(!let_go.contains(block) || let_go[block] <= completed) << seed;
        owners[block] = 1;
      } else if (dice == 2 && !refs.empty()) {
        refs.push_back(refs[random.below(refs.size())].share());
        ++owners[refs.back().id()];
      } else if (dice == 3 && !refs.empty()) {
        drop(random.below(refs.size()));
      } else if (dice == 4) {
        pool.launched(++launched);
      } else if (completed < launched) {
        pool.completed(++completed);
      }
      pool.check();
    }
    while (!refs.empty()) drop(0);
    while (completed < launched) pool.completed(++completed);
    EXPECT_EQ(pool.free_count(), 20);
  }
}

TEST(BlockPoolDeathTest, MisuseStopsTheProcess) {
  EXPECT_DEATH(
      {
        BlockPool pool(1);
        std::vector<BlockRef> refs;
        pool.allocate(2, refs);
      },
      "invariant broken");
  EXPECT_DEATH(
      {
        BlockPool pool(1);
        pool.completed(1);
      },
      "invariant broken");
}

}  // namespace
}  // namespace bessemer
