// What a WatchKv stream says, applied by a reader: the snapshot, the changes, and what happens to
// those who read slowly.
#include "worker/service/kv_watch.h"

#include <bit>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"

namespace bessemer::testing {
namespace {

using ::testing::ElementsAre;

// A router's side.
struct Mirror {
  std::set<std::pair<uint32_t, uint64_t>> blocks;  // group, hash
  uint64_t seq = 0;
  bool exact = false;

  void apply(const v1::KvUpdate& update) {
    if (update.reset()) blocks.clear();
    for (const v1::KvRun& run : update.runs()) {
      if (run.cleared()) blocks.clear();
      for (const uint64_t hash : run.removed()) blocks.erase({run.group(), hash});
      for (const uint64_t hash : run.stored()) blocks.insert({run.group(), hash});
    }
    seq = update.seq();
    exact = update.exact();
    if (update.has_digest()) EXPECT_EQ(update.digest(), digest());
  }
  uint64_t digest() const {
    uint64_t sum = 0;
    for (const auto& [group, hash] : blocks) sum ^= std::rotl(hash, static_cast<int>(group));
    return sum;
  }
  // All there is to read now; how many updates.
  int read(KvWatch& watch) {
    int updates = 0;
    v1::KvUpdate update;
    while (watch.next(update)) apply(update), ++updates;
    return updates;
  }
};

constexpr uint64_t kIncarnation = 42;

TEST(KvWatch, BeginsWithWhatIsThereAndGoesOnWithChanges) {
  KvEventLog log(std::vector<int32_t>{8});
  log.stored(0, 0, 11, 1);
  log.stored(0, 1, 12, 11);
  KvWatch watch(log, kIncarnation, {});
  v1::KvUpdate update;
  ASSERT_TRUE(watch.next(update));
  EXPECT_TRUE(update.reset() && update.exact());
  EXPECT_EQ(update.incarnation(), kIncarnation);
  EXPECT_EQ(update.seq(), 2u);
  ASSERT_EQ(update.runs_size(), 1);
  EXPECT_EQ(update.runs(0).parent(), 1u);
  EXPECT_THAT(update.runs(0).stored(), ElementsAre(11, 12));
  EXPECT_EQ(update.digest(), 11u ^ 12u);
  EXPECT_FALSE(watch.next(update));

  log.stored(0, 2, 13, 12);
  log.stored(0, 3, 14, 13);
  log.stored(0, 4, 15, 11);
  log.removed(0, 3);
  log.removed(0, 2);
  ASSERT_TRUE(watch.next(update));
  EXPECT_FALSE(update.reset());
  EXPECT_EQ(update.seq(), 7u);
  ASSERT_EQ(update.runs_size(), 3);
  EXPECT_THAT(update.runs(0).stored(), ElementsAre(13, 14));
  EXPECT_EQ(update.runs(1).parent(), 11u);
  EXPECT_THAT(update.runs(1).stored(), ElementsAre(15));
  EXPECT_THAT(update.runs(2).removed(), ElementsAre(14, 13));
  log.cleared();
  ASSERT_TRUE(watch.next(update));
  EXPECT_TRUE(update.runs(0).cleared());
  EXPECT_EQ(update.digest(), 0u);
}

TEST(KvWatch, AnEmptyCacheIsSaidToBeEmpty) {
  KvEventLog log(std::vector<int32_t>{8});
  KvWatch watch(log, kIncarnation, {});
  v1::KvUpdate update;
  ASSERT_TRUE(watch.next(update));
  EXPECT_TRUE(update.reset() && update.exact() && update.runs().empty());
  EXPECT_FALSE(watch.next(update));
}

TEST(KvWatch, ASmallCacheInMuchMemoryIsOneUpdate) {
  constexpr int32_t kBlocks = 1'000'000;
  KvEventLog log(std::vector<int32_t>{kBlocks});
  log.stored(0, 0, 11, 1);
  log.stored(0, kBlocks - 1, 12, 11);
  KvWatch watch(log, kIncarnation, {});
  v1::KvUpdate update;
  ASSERT_TRUE(watch.next(update));
  EXPECT_TRUE(update.reset() && update.exact());
  EXPECT_EQ(update.digest(), 11u ^ 12u);
  EXPECT_FALSE(watch.next(update));
}

TEST(KvWatch, OneThatFellBehindBeginsAnew) {
  KvEventLog log(std::vector<int32_t>{64}, 8);
  KvWatch watch(log, kIncarnation, {});
  Mirror mirror;
  mirror.read(watch);
  for (int32_t block = 0; block < 20; ++block) log.stored(0, block, 100 + block, 0);
  v1::KvUpdate update;
  ASSERT_TRUE(watch.next(update));
  EXPECT_TRUE(update.reset());
  mirror.apply(update);
  EXPECT_EQ(mirror.blocks.size(), 20u);
  EXPECT_TRUE(mirror.exact);
}

TEST(KvWatch, OneThatReturnsGoesOnWhereItWas) {
  KvEventLog log(std::vector<int32_t>{64}, 8);
  for (int32_t block = 0; block < 10; ++block) log.stored(0, block, 100 + block, 0);
  const auto first = [&](uint64_t incarnation, uint64_t after) {
    v1::WatchKvRequest request;
    request.set_incarnation(incarnation);
    request.set_after(after);
    KvWatch watch(log, kIncarnation, request);
    v1::KvUpdate update;
    EXPECT_TRUE(watch.next(update));
    return update;
  };
  const v1::KvUpdate resumed = first(kIncarnation, 7);
  EXPECT_FALSE(resumed.reset());
  EXPECT_TRUE(resumed.exact());
  EXPECT_EQ(resumed.runs_size(), 3);
  EXPECT_TRUE(first(kIncarnation, 1).reset()) << "lost by the ring";
  EXPECT_TRUE(first(kIncarnation, 11).reset()) << "never happened";
  EXPECT_TRUE(first(kIncarnation, UINT64_MAX).reset());
  EXPECT_TRUE(first(kIncarnation + 1, 7).reset()) << "another process";
}

// Many blocks and changes at every moment, with readers of every speed: whenever an update says
// that it is exact, what was applied is what was present after change number `seq`.
TEST(KvWatch, IsExactWhenItSaysSo) {
  constexpr int32_t kBlocks = 3 * static_cast<int32_t>(kMostKvChanges);
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Random random(seed);
    KvEventLog log(std::vector<int32_t>{kBlocks / 2, kBlocks / 2}, 10'000);
    std::vector<uint64_t> held(kBlocks);  // hash, or 0
    uint64_t count = 0;
    const auto change = [&] {
      const int32_t at = static_cast<int32_t>(random.below(kBlocks));
      const int32_t group = at >= kBlocks / 2 ? 1 : 0, block = at % (kBlocks / 2);
      uint64_t& hash = held[static_cast<size_t>(at)];
      if (hash != 0) {
        log.removed(group, block);
        hash = 0, --count;
      } else {
        hash = random.next() | 1, ++count;
        log.stored(group, block, hash, 7);
      }
    };
    for (int i = 0; i < kBlocks; ++i) change();
    KvWatch watch(log, kIncarnation, {});
    Mirror mirror;
    int resets = 0;
    v1::KvUpdate update;
    for (int turn = 0; turn < 60; ++turn) {
      for (uint64_t i = random.below(turn % 10 == 0 ? 15'000 : 1'000); i > 0; --i) change();
      if (!watch.next(update)) continue;
      EXPECT_LT(update.ByteSizeLong(), 256u << 10);
      resets += update.reset() ? 1 : 0;
      mirror.apply(update);
      if (!mirror.exact || mirror.seq != log.state().last) continue;
      ASSERT_EQ(mirror.blocks.size(), count) << seed;
      ASSERT_EQ(mirror.digest(), log.state().digest) << seed;
    }
    mirror.read(watch);
    EXPECT_TRUE(mirror.exact);
    EXPECT_EQ(mirror.blocks.size(), count);
    EXPECT_GT(resets, 1) << "some of them were too slow";
  }
}

}  // namespace
}  // namespace bessemer::testing
