#include "worker/kv/kv_space.h"

#include <gtest/gtest.h>

namespace bessemer {
namespace {

// Two groups with blocks of different sizes.
class KvSpaceTest : public ::testing::Test {
 protected:
  KvTable grown(int32_t rows) {
    KvTable table = space_.make_table();
    space_.grow(table, rows, copies_);
    return table;
  }
  const std::vector<KvGroupSize> sizes_ = {{4, 10}, {8, 6}};
  KvSpace space_{sizes_};
  std::vector<CopyOnWrite> copies_;
};

TEST_F(KvSpaceTest, GrowsInAllGroupsTogether) {
  KvTable table = grown(9);
  EXPECT_EQ(table.groups[0].blocks.size(), 3u);
  EXPECT_EQ(table.groups[1].blocks.size(), 2u);
  EXPECT_EQ(space_.held_count(), 5);
  space_.grow(table, 9, copies_);
  EXPECT_EQ(space_.held_count(), 5);
  EXPECT_TRUE(copies_.empty());
  table.clear();
  EXPECT_TRUE(table.empty());
  EXPECT_EQ(space_.free_count(), space_.total());
}

TEST_F(KvSpaceTest, RoomIsGivenInAllGroupsOrNone) {
  const KvTable table = space_.make_table();
  EXPECT_EQ(space_.room_for(table, 40), Room::now);   // 10 and 5 blocks
  EXPECT_EQ(space_.room_for(table, 41), Room::none);  // 11 blocks of the first
  EXPECT_EQ(space_.room_for(table, 40, 1), Room::none);
  KvTable other = grown(8);
  EXPECT_EQ(space_.room_for(table, 40), Room::none);
  space_.launched(1);
  other.clear();
  EXPECT_EQ(space_.room_for(table, 40), Room::later);
  space_.completed(1);
  EXPECT_EQ(space_.room_for(table, 40), Room::now);
}

TEST_F(KvSpaceTest, ForksShareFullBlocksAndCopyTheRest) {
  const KvTable owner = grown(11);
  KvTable fork = space_.fork(owner, 10);  // 2 full + 2 rows; 1 full + 2 rows
  EXPECT_EQ(fork.groups[0].blocks.size(), 2u);
  EXPECT_EQ(fork.groups[0].blocks[1].id(), owner.groups[0].blocks[1].id());
  EXPECT_EQ(fork.groups[0].partial.id(), owner.groups[0].blocks[2].id());
  EXPECT_EQ(fork.groups[1].blocks.size(), 1u);
  EXPECT_EQ(space_.held_count(), 5);  // nothing new

  space_.grow(fork, 11, copies_);
  ASSERT_EQ(copies_.size(), 2u);
  EXPECT_EQ(copies_[0].from.id(), owner.groups[0].blocks[2].id());
  EXPECT_EQ(copies_[0].to, fork.groups[0].blocks[2].id());
  EXPECT_NE(copies_[0].to, copies_[0].from.id());
  EXPECT_EQ(copies_[1].group, 1);
  EXPECT_FALSE(fork.groups[0].partial);
  EXPECT_EQ(space_.held_count(), 7);
}

TEST_F(KvSpaceTest, TheLastOwnerOfAPartialBlockKeepsItWithoutACopy) {
  KvTable owner = grown(10);
  KvTable fork = space_.fork(owner, 9);
  const int32_t partial = fork.groups[0].partial.id();
  owner.clear();
  EXPECT_EQ(space_.free_count(), space_.total() - 5);
  space_.grow(fork, 10, copies_);
  EXPECT_TRUE(copies_.empty());
  EXPECT_EQ(fork.groups[0].blocks[2].id(), partial);
  EXPECT_EQ(space_.held_count(), 5);
}

TEST_F(KvSpaceTest, AForkAtABlocksBorderCopiesNothing) {
  const KvTable owner = grown(9);
  KvTable fork = space_.fork(owner, 8);
  EXPECT_FALSE(fork.groups[0].partial);
  EXPECT_FALSE(fork.groups[1].partial);
  space_.grow(fork, 9, copies_);
  EXPECT_TRUE(copies_.empty());
}

TEST_F(KvSpaceTest, AHeldCopySourceOutlivesItsOwners) {
  KvTable owner = grown(10);
  KvTable fork = space_.fork(owner, 9);
  space_.grow(fork, 10, copies_);
  const int32_t source = copies_[0].from.id();
  owner.clear();
  EXPECT_EQ(space_.free_count(), space_.total() - 7);  // the fork's five and two sources
  copies_.clear();
  EXPECT_EQ(space_.free_count(), space_.total() - 5);
  EXPECT_NE(fork.groups[0].blocks[2].id(), source);
}

}  // namespace
}  // namespace bessemer
