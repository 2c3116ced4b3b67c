// What the updates of a WatchKv stream do to the index: snapshots, changes, resumed streams, and
// everything that does not fit.
#include "router/cluster/kv_mirror.h"

#include <gtest/gtest.h>

#include "common/random.h"

namespace bessemer {
namespace {

constexpr uint64_t kIncarnation = 42;
using Verdict = KvMirror::Verdict;

class Update {
 public:
  explicit Update(uint64_t seq, bool exact = true) {
    update_.set_incarnation(kIncarnation);
    update_.set_seq(seq);
    update_.set_exact(exact);
  }
  operator const v1::KvUpdate&() const { return update_; }
  Update& begin() { return update_.set_reset(true), *this; }
  Update& store(const std::vector<uint64_t>& hashes, uint32_t group = 0) {
    v1::KvRun& run = *update_.add_runs();
    run.set_group(group);
    for (const uint64_t hash : hashes) run.add_stored(hash);
    return *this;
  }
  Update& remove(const std::vector<uint64_t>& hashes) {
    v1::KvRun& run = *update_.add_runs();
    for (const uint64_t hash : hashes) run.add_removed(hash);
    return *this;
  }
  Update& clear() { return update_.add_runs()->set_cleared(true), *this; }
  Update& digest(uint64_t value) { return update_.set_digest(value), *this; }

 private:
  v1::KvUpdate update_;
};

class KvMirrorTest : public ::testing::Test {
 protected:
  KvMirrorTest() { mirror_.expect(kIncarnation); }
  int32_t matched(const std::vector<uint64_t>& chain) {
    std::vector<KvMatch> matches;
    index_.match(0, chain, matches);
    EXPECT_LE(matches.size(), 1u);
    return matches.empty() ? 0 : matches[0].blocks;
  }
  bool asks_anew() { return mirror_.request().incarnation() == 0; }

  KvIndex index_{1, 99};
  KvMirror mirror_{index_, 7};
};

TEST_F(KvMirrorTest, TakesASnapshotInPiecesThenChanges) {
  EXPECT_EQ(mirror_.apply(Update(5, false).begin().store({1, 2})), Verdict::applied);
  EXPECT_FALSE(mirror_.exact());
  EXPECT_TRUE(asks_anew()) << "a stream that ends now has to begin again";
  EXPECT_EQ(mirror_.apply(Update(5, false).store({3})), Verdict::applied);
  EXPECT_EQ(mirror_.apply(Update(7).store({4}).remove({4}).digest(1 ^ 2 ^ 3)), Verdict::applied);
  EXPECT_TRUE(mirror_.exact());
  EXPECT_EQ(matched({1, 2, 3, 4}), 3);
  EXPECT_EQ(mirror_.apply(Update(8).remove({3}).digest(1 ^ 2)), Verdict::applied);
  EXPECT_EQ(matched({1, 2, 3}), 2);
  EXPECT_EQ(mirror_.request().incarnation(), kIncarnation);
  EXPECT_EQ(mirror_.request().after(), 8u);
}

TEST_F(KvMirrorTest, GoesOnAfterALostStream) {
  mirror_.apply(Update(2).begin().store({1, 2}));
  EXPECT_EQ(mirror_.apply(Update(3).store({3}).digest(1 ^ 2 ^ 3)), Verdict::applied);
  EXPECT_EQ(matched({1, 2, 3}), 3);
  // The worker's ring had lost what came next.
  EXPECT_EQ(mirror_.apply(Update(900).begin().store({1, 9}).digest(1 ^ 9)), Verdict::applied);
  EXPECT_EQ(matched({1, 9}), 2);
  EXPECT_EQ(matched({1, 2, 3}), 1);
}

TEST_F(KvMirrorTest, AGapOrAWrongDigestLosesEverythingAndAsksAnew) {
  mirror_.apply(Update(2).begin().store({1, 2}));
  EXPECT_EQ(mirror_.apply(Update(5).store({3})), Verdict::diverged) << "3 and 4 are missing";
  EXPECT_EQ(index_.pairs(), 0u);
  EXPECT_TRUE(asks_anew());
  EXPECT_EQ(mirror_.apply(Update(6).store({4})), Verdict::diverged) << "no snapshot yet";
  mirror_.apply(Update(2).begin().store({1, 2}));
  EXPECT_EQ(mirror_.apply(Update(3).store({3}).digest(1 ^ 2)), Verdict::diverged);
  EXPECT_EQ(index_.pairs(), 0u);
  EXPECT_TRUE(asks_anew());
}

TEST_F(KvMirrorTest, GroupsAreApart) {
  EXPECT_EQ(mirror_.apply(Update(2).begin().store({8}).store({8}, 1).digest(8 ^ 16)),
            Verdict::applied);
  EXPECT_EQ(index_.count(7), 2u);
  EXPECT_EQ(matched({8}), 1);
  EXPECT_EQ(mirror_.apply(Update(3).clear().digest(0)), Verdict::applied) << "clears all groups";
  EXPECT_EQ(index_.count(7), 0u);
}

TEST_F(KvMirrorTest, AnotherIncarnationIsNobodysCache) {
  mirror_.apply(Update(2).begin().store({1, 2}));
  mirror_.expect(kIncarnation + 1);
  EXPECT_EQ(index_.pairs(), 0u);
  EXPECT_EQ(mirror_.apply(Update(3).store({3})), Verdict::stale) << "the old stream's last words";
  EXPECT_EQ(index_.pairs(), 0u);
  mirror_.expect(0);
  EXPECT_EQ(mirror_.apply(Update(3).begin().store({3})), Verdict::stale);
}

TEST(KvMirror, AFullIndexHasNothingRatherThanHalf) {
  Random random(1);
  KvIndex index(1, 1, 512 << 10);
  KvMirror mirror(index, 0);
  mirror.expect(kIncarnation);
  std::vector<uint64_t> many(100'000);
  for (auto& hash : many) hash = random.next();
  EXPECT_EQ(mirror.apply(Update(many.size()).begin().store(many)), Verdict::no_room);
  EXPECT_EQ(index.pairs(), 0u);
  EXPECT_EQ(mirror.request().incarnation(), 0u);
}

}  // namespace
}  // namespace bessemer
