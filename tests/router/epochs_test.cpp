// When retired memory goes.
#include "router/cluster/epochs.h"

#include <gtest/gtest.h>

namespace bessemer {
namespace {

TEST(Epochs, FreeWhenNobodyReads) {
  Epochs epochs(2);
  auto garbage = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = garbage;
  epochs.retire(std::move(garbage));
  EXPECT_FALSE(watched.expired());
  epochs.collect();
  EXPECT_TRUE(watched.expired());
}

TEST(Epochs, WhoeverReadKeepsItAndWhoeverComesLaterDoesNot) {
  Epochs epochs(2);
  auto garbage = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = garbage;
  {
    const Epochs::Pin early(epochs, 0);
    epochs.retire(std::move(garbage));
    epochs.collect();
    EXPECT_FALSE(watched.expired());
    const Epochs::Pin late(epochs, 1);
    epochs.collect();
    EXPECT_FALSE(watched.expired());
    EXPECT_EQ(epochs.uncollected(), 1u);
  }
  const Epochs::Pin late(epochs, 1);
  epochs.collect();
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace bessemer
