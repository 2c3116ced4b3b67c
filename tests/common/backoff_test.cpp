#include "common/backoff.h"

#include <gtest/gtest.h>

namespace bessemer {
namespace {

using std::chrono::milliseconds;

TEST(Backoff, DoublesWithinItsBoundsAndStartsOver) {
  Backoff backoff(milliseconds(100), milliseconds(350), 7);
  for (const int step : {100, 200, 350, 350}) {
    const Duration wait = backoff.next();
    EXPECT_GE(wait, milliseconds(step) / 2);
    EXPECT_LE(wait, milliseconds(step));
  }
  backoff.reset();
  EXPECT_LE(backoff.next(), milliseconds(100));
}

TEST(Backoff, HeedsAWishUpToItsMost) {
  Backoff backoff(milliseconds(100), milliseconds(800), 1);
  for (const int step : {100, 200, 400, 800, 800}) {
    const Duration wait = backoff.next();
    EXPECT_GE(wait, milliseconds(step) / 2);
    EXPECT_LE(wait, milliseconds(step));
  }
  backoff.reset();
  EXPECT_LE(backoff.next(), milliseconds(100));
  EXPECT_EQ(backoff.next(milliseconds(333)), milliseconds(333));
  EXPECT_EQ(backoff.next(std::chrono::hours(1)), milliseconds(800));
}

}  // namespace
}  // namespace bessemer
