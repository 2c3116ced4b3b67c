// What is on its way to a worker, and when it is not any more.
#include "router/cluster/kv_pledges.h"

#include <gtest/gtest.h>

#include "common/random.h"

namespace bessemer {
namespace {

class KvPledgesTest : public ::testing::Test {
 protected:
  KvPledgePtr pledge(uint32_t worker, std::vector<uint64_t> chain) {
    auto made = std::make_shared<KvPledge>();
    made->worker = worker;
    made->chain = std::make_shared<const std::vector<uint64_t>>(std::move(chain));
    pledges_.pledge(*made);
    return made;
  }
  int32_t blocks(uint32_t worker, const std::vector<uint64_t>& chain) {
    std::vector<KvMatch> matches;
    index_.match(0, chain, matches);
    for (const KvMatch& match : matches) {
      if (match.worker == worker) return match.blocks;
    }
    return 0;
  }

  TimePoint now_{std::chrono::seconds(1)};
  KvIndex index_{1, 1};
  KvPledges pledges_{index_};
};

TEST_F(KvPledgesTest, WhatIsComputedStaysUntilTheWorkerHasSaidSo) {
  auto made = pledge(3, {1, 2});
  EXPECT_EQ(blocks(3, {1, 2, 3}), 2);
  pledges_.release(std::move(made), true, now_);
  pledges_.expire(now_);
  EXPECT_EQ(blocks(3, {1, 2, 3}), 2);
  pledges_.expire(now_ + kPledgeAfter);
  EXPECT_EQ(index_.pairs(), 0u);
}

TEST_F(KvPledgesTest, WhatIsGivenUpIsGoneButForWhatOthersPledged) {
  auto first = pledge(3, {1, 2, 3}), second = pledge(3, {1, 2, 4}), third = pledge(3, {1});
  pledges_.release(std::move(first), false, now_);
  EXPECT_EQ(blocks(3, {1, 2, 3}), 2);
  EXPECT_EQ(blocks(3, {1, 2, 4}), 3);
  pledges_.release(std::move(second), false, now_);
  EXPECT_EQ(blocks(3, {1, 2}), 1);
  pledges_.release(std::move(third), false, now_);
  EXPECT_EQ(index_.pairs(), 0u);
}

TEST_F(KvPledgesTest, ARestartedWorkerOwesNothingOfBefore) {
  auto before = pledge(3, {1, 2}), shared = pledge(3, {1, 2});
  pledges_.drop(3);
  EXPECT_EQ(blocks(3, {1}), 0);
  auto after = pledge(3, {1, 2});
  pledges_.release(std::move(before), false, now_);
  pledges_.release(std::move(shared), true, now_);
  pledges_.expire(now_ + kPledgeAfter);
  EXPECT_EQ(blocks(3, {1, 2}), 2) << "the new one's";
  pledges_.release(std::move(after), false, now_);
  EXPECT_EQ(index_.pairs(), 0u);
}

TEST(KvPledges, WithoutRoomABeginningIsPledged) {
  Random random(1);
  KvIndex index(1, 1, 512 << 10);
  KvPledges pledges(index);
  std::vector<uint64_t> many(100'000);
  for (auto& hash : many) hash = random.next();
  auto made = std::make_shared<KvPledge>();
  made->chain = std::make_shared<const std::vector<uint64_t>>(many);
  pledges.pledge(*made);
  EXPECT_GT(made->stored, 1000u);
  EXPECT_LT(made->stored, many.size());
  pledges.release(std::move(made), false, {});
  EXPECT_EQ(index.pairs(), 0u);
}

}  // namespace
}  // namespace bessemer
