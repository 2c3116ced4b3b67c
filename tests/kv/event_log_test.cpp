#include "worker/kv/event_log.h"

#include <algorithm>
#include <bit>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "common/random.h"

namespace bessemer {
namespace {

using Present = std::set<std::pair<int32_t, uint64_t>>;  // group, hash

void apply_to(std::span<const KvChange> changes, Present& present) {
  for (const KvChange& change : changes) {
    if (change.kind == KvChange::Kind::cleared) present.clear();
    if (change.kind == KvChange::Kind::stored) present.insert({change.group, change.hash});
    if (change.kind == KvChange::Kind::removed) present.erase({change.group, change.hash});
  }
}

uint64_t digest_of(const Present& present) {
  uint64_t digest = 0;
  for (const auto& [group, hash] : present) digest ^= std::rotl(hash, group);
  return digest;
}

TEST(KvEventLog, NumbersChangesAndSaysWhatIsPresent) {
  KvEventLog log(std::vector<int32_t>{4, 2});
  log.stored(0, 3, 100, 7);
  log.stored(1, 1, 200, 8);
  log.removed(0, 3);
  std::vector<KvChange> changes;
  KvEventLog::State now;
  ASSERT_TRUE(log.read(1, 10, changes, now));
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0], (KvChange{KvChange::Kind::stored, 1, 200, 8}));
  EXPECT_EQ(changes[1], (KvChange{KvChange::Kind::removed, 0, 100, 0}));
  EXPECT_EQ(now.last, 3u);
  EXPECT_EQ(now.count, 1u);
  changes.clear();
  EXPECT_EQ(log.scan(0, 100, changes, now), 0u);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0], (KvChange{KvChange::Kind::stored, 1, 200, 8}));
  log.cleared();
  EXPECT_EQ(log.state().count, 0u);
  EXPECT_EQ(log.state().digest, 0u);
}

TEST(KvEventLog, ForgetsTheOldestChanges) {
  KvEventLog log(std::vector<int32_t>{8}, 4);
  for (int32_t block = 0; block < 6; ++block) log.stored(0, block, 10 + block, 0);
  std::vector<KvChange> changes;
  KvEventLog::State now;
  EXPECT_FALSE(log.read(0, 10, changes, now));
  EXPECT_FALSE(log.read(1, 10, changes, now));
  ASSERT_TRUE(log.read(2, 10, changes, now));
  ASSERT_EQ(changes.size(), 4u);
  EXPECT_EQ(changes[0].hash, 12u);
  EXPECT_FALSE(log.read(7, 10, changes, now)) << "a number that was never given";
  EXPECT_FALSE(log.read(UINT64_MAX, 10, changes, now));
  changes.clear();
  EXPECT_TRUE(log.read(6, 10, changes, now));
  EXPECT_TRUE(changes.empty());
}

// L2 and L3: a reader that scans in pieces while everything changes, and then applies the changes
// since it began, has what is present.
TEST(KvEventLog, AScanInPiecesWithTheChangesSinceIsExact) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    const std::vector<int32_t> sizes{13, 7};
    KvEventLog log(sizes);
    Present truth, mirror;
    std::vector<std::pair<int32_t, uint64_t>> at[2];  // per group: (block, hash)
    const auto change = [&] {
      const size_t g = random.below(2);
      const int32_t group = static_cast<int32_t>(g);
      const int32_t block = static_cast<int32_t>(random.below(static_cast<uint64_t>(sizes[g])));
      if (random.chance(0.02)) {
        log.cleared();
        truth.clear();
        at[0].clear(), at[1].clear();
        return;
      }
      const auto taken =
          std::ranges::find(at[g], block, [](const auto& entry) { return entry.first; });
      if (taken != at[g].end()) {
        log.removed(group, block);
        truth.erase({group, taken->second});
        at[g].erase(taken);
        return;
      }
      const uint64_t hash = 1 + random.below(30);  // hashes come back in other blocks
      if (truth.contains({group, hash})) return;
      log.stored(group, block, hash, 0);
      truth.insert({group, hash});
      at[g].push_back({block, hash});
    };
    for (int i = 0; i < 20; ++i) change();
    const uint64_t begin = log.state().last;
    size_t position = 0;
    std::vector<KvChange> changes;
    KvEventLog::State now;
    do {
      changes.clear();
      position = log.scan(position, 1 + random.below(4), changes, now);
      apply_to(changes, mirror);
      for (uint64_t i = random.below(4); i > 0; --i) change();
    } while (position != 0);
    changes.clear();
    ASSERT_TRUE(log.read(begin, SIZE_MAX, changes, now));
    apply_to(changes, mirror);
    ASSERT_EQ(mirror, truth) << seed;
    EXPECT_EQ(now.digest, digest_of(truth));
    EXPECT_EQ(now.count, truth.size());
  }
}

TEST(KvEventLog, ReadersOnOtherThreadsSeeWholeChanges) {
  constexpr int32_t kBlocks = 64;
  KvEventLog log(std::vector<int32_t>{kBlocks}, 256);
  std::jthread writer([&](const std::stop_token& stop) {
    for (uint64_t round = 1; !stop.stop_requested(); ++round) {
      for (int32_t block = 0; block < kBlocks; ++block) log.stored(0, block, round, round);
      for (int32_t block = 0; block < kBlocks; ++block) log.removed(0, block);
    }
  });
  for (int i = 0; i < 200; ++i) {
    std::vector<KvChange> changes;
    KvEventLog::State now;
    if (log.read(log.state().last, 100, changes, now)) {
      for (const KvChange& change : changes) {
        if (change.kind == KvChange::Kind::stored) EXPECT_EQ(change.hash, change.parent);
      }
    }
    changes.clear();
    log.scan(0, kBlocks, changes, now);
    EXPECT_LE(changes.size(), static_cast<size_t>(kBlocks));
    EXPECT_EQ(changes.size(), now.count);
  }
}

}  // namespace
}  // namespace bessemer
