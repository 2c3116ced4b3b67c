// What placements read besides reports and the index: chains, sessions, the price of company.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/block_hash.h"
#include "common/random.h"
#include "router/cluster/load_slot.h"
#include "router/cluster/prefix_chain.h"
#include "router/cluster/session_table.h"
#include "router/cluster/step_slope.h"

namespace bessemer {
namespace {

TEST(PrefixChain, HasTheFullBlocksButNeverTheLastToken) {
  std::vector<int32_t> ids(48);
  for (size_t i = 0; i < ids.size(); i++) ids[i] = static_cast<int32_t>(i);
  const auto whole = prefix_chain(5, "salt", ids, 16);
  ASSERT_EQ(whole.size(), 2u) << "of the third block the last token has to be computed";
  const BlockHash first = chain(chain_root(5, "salt"), std::span(ids).first(16));
  EXPECT_EQ(whole[0], first.low);
  EXPECT_EQ(whole[1], chain(first, std::span(ids).subspan(16, 16)).low);
  ids.push_back(1);
  EXPECT_EQ(prefix_chain(5, "salt", ids, 16).size(), 3u);
  EXPECT_EQ(prefix_chain(5, "salt", std::span(ids).first(16), 16).size(), 0u);
  EXPECT_NE(prefix_chain(5, "", ids, 16)[0], whole[0]) << "roots are apart";
  EXPECT_NE(prefix_chain(6, "salt", ids, 16)[0], whole[0]) << "hash domains too";
  EXPECT_TRUE(prefix_chain(5, "", ids, 0).empty());
  EXPECT_TRUE(prefix_chain(5, "", {}, 16).empty());
}

// Blocks of every size are hashed alike, in one piece or as a stream.
TEST(BlockHash, IsThatOfParentAndIds) {
  Random random(1);
  for (const size_t size : {0, 1, 16, 255, 256, 257, 4096}) {
    const BlockHash parent{random.next(), random.next()};
    std::vector<int32_t> ids(size);
    for (auto& id : ids) id = static_cast<int32_t>(random.next());
    std::string bytes(reinterpret_cast<const char*>(&parent), sizeof parent);
    bytes.append(reinterpret_cast<const char*>(ids.data()), size * sizeof(int32_t));
    EXPECT_EQ(chain(parent, ids), content_hash(bytes)) << size;
  }
}

TEST(SessionTable, RemembersTheLastWorker) {
  SessionTable table;
  const uint64_t anna = session_key("", "anna"), other = session_key("salt", "anna");
  EXPECT_NE(anna, other);
  EXPECT_EQ(session_key("", ""), 0u);
  EXPECT_EQ(table.worker_of(anna), std::nullopt);
  table.note(anna, 0);
  EXPECT_EQ(table.worker_of(anna), 0u);
  table.note(anna, 1023);
  EXPECT_EQ(table.worker_of(anna), 1023u);
  EXPECT_EQ(table.worker_of(other), std::nullopt);
  table.note(anna + (uint64_t{1} << 16), 3);  // the same slot
  EXPECT_EQ(table.worker_of(anna), std::nullopt) << "overwritten, not mistaken";
  table.note(0, 5);
  EXPECT_EQ(table.worker_of(0), std::nullopt);
}

TEST(StepSlope, FindsWhatASequenceCosts) {
  Random random(1);
  for (const auto& [base, each] : {std::pair{0.002, 0.005}, std::pair{0.0065, 0.00002}}) {
    StepSlope slope;
    EXPECT_EQ(slope.seconds(), 0);
    for (int i = 0; i < 500; i++) {
      const int64_t running = random.between(1, 32);
      const double noise = 1 + 0.02 * (random.uniform() - 0.5);
      slope.observe(running, (base + each * static_cast<double>(running)) * noise);
    }
    EXPECT_NEAR(slope.seconds(), each, 0.1 * each + 0.00002);
  }
}

TEST(StepSlope, GuessesWhileTheNumberStandsStill) {
  StepSlope slope;
  for (int i = 0; i < 50; i++) slope.observe(8, 0.016);
  EXPECT_NEAR(slope.seconds(), 0.001, 1e-6);
  slope.observe(0, 0.5);
  slope.observe(4, 0);
  EXPECT_NEAR(slope.seconds(), 0.001, 1e-6) << "an idle worker's says nothing";
}

// While prompts are computed, or nothing is, reports repeat the last step.
TEST(StepSlope, CountsEachStepOnce) {
  StepSlope often, once;
  for (int64_t n = 1; n <= 8; n++) {
    const double time = 0.002 + 0.005 * static_cast<double>(n);
    once.observe(n, time);
    for (int i = 0; i < 1000; i++) often.observe(n, time);
  }
  EXPECT_EQ(often.seconds(), once.seconds());
}

TEST(LoadSlot, WhatIsOnItsWayCountsAtOnce) {
  LoadSlot slot;
  slot.said_backlog = 100;
  slot.unadmitted += 3000;
  EXPECT_EQ(slot.backlog(), 3100);
}

}  // namespace
}  // namespace bessemer
