// Who is looked at when a prompt is placed.
#include "router/routing/prefix_look.h"

#include <numeric>
#include <set>

#include <gtest/gtest.h>

namespace bessemer {
namespace {

std::vector<uint32_t> ids(uint32_t count) {
  std::vector<uint32_t> all(count);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

TEST(PrefixLook, ForgetsTheLastPrompt) {
  KvIndex index(1, 1), pledged(1, 2);
  index.store(3, 11), index.store(3, 12), index.store(4, 11);
  PrefixLook look;
  look.ask(index, pledged, 0, std::vector<uint64_t>{11, 12, 13});
  EXPECT_EQ(look.blocks(3), 2);
  EXPECT_EQ(look.blocks(4), 1);
  EXPECT_EQ(look.blocks(5), 0);
  EXPECT_EQ(look.most_blocks(), 2);
  look.ask(index, pledged, 0, std::vector<uint64_t>{99});
  EXPECT_EQ(look.blocks(3), 0);
  EXPECT_EQ(look.most_blocks(), 0);
}

TEST(PrefixLook, CountsWhatIsOnItsWay) {
  KvIndex index(1, 1), pledged(1, 2);
  index.store(3, 11);
  pledged.store(3, 11), pledged.store(3, 12), pledged.store(5, 11);
  PrefixLook look;
  look.ask(index, pledged, 0, std::vector<uint64_t>{11, 12, 13});
  EXPECT_EQ(look.blocks(3), 2);
  EXPECT_EQ(look.blocks(5), 1);
  EXPECT_EQ(look.most_blocks(), 2);
  look.ask(index, pledged, 0, std::vector<uint64_t>{99});
  EXPECT_EQ(look.blocks(5), 0);
}

TEST(PrefixLook, AFewAreAllLookedAt) {
  PrefixLook look;
  Random random(1);
  const auto few = ids(kMostCandidates);
  const auto listed = look.shortlist(few, random);
  EXPECT_EQ(std::vector(listed.begin(), listed.end()), few);
}

TEST(PrefixLook, OfManyTheDeepestMatchesAndASample) {
  KvIndex index(1, 1), pledged(1, 2);
  std::vector<uint64_t> chain(50);
  std::iota(chain.begin(), chain.end(), 1000);
  for (uint32_t worker = 100; worker < 150; worker++) {
    for (size_t i = 0; i <= worker - 100; i++) index.store(worker, chain[i]);
  }
  index.store(900, chain[0]);  // does not serve this model
  PrefixLook look;
  Random random(1);
  look.ask(index, pledged, 0, chain);
  const auto workers = ids(512);
  std::vector<int> seen(512);
  for (int i = 0; i < 2000; i++) {
    const auto span = look.shortlist(workers, random);
    const std::set<uint32_t> listed(span.begin(), span.end());
    ASSERT_EQ(listed.size(), kMostCandidates) << "nobody twice";
    for (uint32_t worker = 134; worker < 150; worker++) ASSERT_TRUE(listed.contains(worker));
    for (const uint32_t worker : listed) seen.at(worker)++;
  }
  const double share = 2000.0 * 16 / (512 - 16);
  for (uint32_t worker = 0; worker < 100; worker++) EXPECT_NEAR(seen[worker], share, share * 0.6);
}

}  // namespace
}  // namespace bessemer
