#include "router/cluster/stuck_detector.h"

#include <gtest/gtest.h>

#include "common/random.h"

namespace bessemer {
namespace {

using std::chrono::milliseconds;

class StuckDetectorTest : public ::testing::Test {
 protected:
  StuckDetector::Word word(uint64_t steps, bool pending) const {
    return {steps, pending, 10'000, 0, 1000};
  }
  // Whether the verdict changed.
  bool hear(uint64_t steps, bool pending, milliseconds later) {
    now_ += later;
    return detector_.hear(word(steps, pending), now_);
  }

  TimePoint now_{std::chrono::seconds(10)};
  StuckDetector detector_{milliseconds(2000)};
};

TEST_F(StuckDetectorTest, WorkWithoutAStepIsAHangAfterItsPatience) {
  EXPECT_FALSE(hear(5, true, milliseconds(0)));
  EXPECT_FALSE(hear(5, true, milliseconds(1000)));
  EXPECT_FALSE(hear(5, true, milliseconds(999)));
  EXPECT_TRUE(hear(5, true, milliseconds(1)));
  EXPECT_TRUE(detector_.stuck());
  EXPECT_FALSE(hear(5, true, milliseconds(1000)));  // nothing new
  EXPECT_TRUE(hear(6, true, milliseconds(1000)));
  EXPECT_FALSE(detector_.stuck());
}

TEST_F(StuckDetectorTest, AnIdleWorkerIsNotStuckAndNewWorkStartsTheClock) {
  for (int i = 0; i < 10; i++) EXPECT_FALSE(hear(5, false, milliseconds(1000)));
  EXPECT_FALSE(hear(5, true, milliseconds(5000)));
  EXPECT_FALSE(hear(5, true, milliseconds(1000)));
  EXPECT_FALSE(hear(5, false, milliseconds(900)));
  EXPECT_FALSE(hear(5, true, milliseconds(100)));
  EXPECT_FALSE(hear(5, true, milliseconds(1900)));
  EXPECT_FALSE(detector_.stuck());
}

TEST_F(StuckDetectorTest, SilenceProvesNothing) {
  EXPECT_FALSE(hear(5, true, milliseconds(0)));
  EXPECT_FALSE(hear(5, true, milliseconds(60'000)));  // may be the next request's first word
  EXPECT_TRUE(hear(5, true, milliseconds(10)));
}

TEST_F(StuckDetectorTest, OldWordsChangeNothing) {
  hear(7, true, milliseconds(0));
  hear(7, true, milliseconds(1500));
  EXPECT_FALSE(hear(6, false, milliseconds(10)));
  EXPECT_TRUE(hear(7, true, milliseconds(600)));
  EXPECT_FALSE(hear(6, false, milliseconds(10)));
  EXPECT_TRUE(detector_.stuck());
  detector_.reset();
  EXPECT_FALSE(detector_.stuck());
}

TEST_F(StuckDetectorTest, NoWorkEndsAHang) {
  for (int i = 0; i < 4; i++) hear(7, true, milliseconds(1000));
  ASSERT_TRUE(detector_.stuck());
  EXPECT_TRUE(hear(7, false, milliseconds(1000)));
  EXPECT_FALSE(detector_.stuck());
}

TEST(StuckPatience, FollowsTheWorkersOwnSpeed) {
  const Duration least = milliseconds(2000);
  EXPECT_EQ(StuckDetector::patience({1, true, 10'000, 0, 1000}, least), least);
  EXPECT_EQ(StuckDetector::patience({1, true, 500'000, 0, 1000}, least), milliseconds(10'000));
  // 512 rows at 60 a second: a step of 8.5 s is no hang.
  EXPECT_GT(StuckDetector::patience({1, true, 10'000, 512, 60}, least), milliseconds(30'000 - 1));
  EXPECT_EQ(StuckDetector::patience({1, true, 10'000, 1000, 1000}, least), milliseconds(4000));
  EXPECT_EQ(StuckDetector::patience({1, true, 0, 0, 0}, least), milliseconds(30'000));
  EXPECT_EQ(StuckDetector::patience({1, true, UINT32_MAX, UINT64_MAX, 1}, least),
            milliseconds(30'000));
}

// D3: whatever the words, one that steps between them is never called stuck.
TEST(StuckDetectorBySeed, AWorkerThatStepsIsNeverStuck) {
  for (uint64_t seed = 1; seed <= 200; seed++) {
    Random random(seed);
    StuckDetector detector(milliseconds(2000));
    TimePoint now{};
    uint64_t steps = 1;
    for (int i = 0; i < 500; i++) {
      now += milliseconds(random.between(0, 1200));
      if (random.chance(0.6)) steps += random.below(20) + 1;
      const TimePoint stepped = now;
      detector.hear({steps, random.chance(0.9), 10'000, 0, 1000}, now);
      if (random.chance(0.3)) {
        steps++;
        detector.hear({steps, true, 10'000, 0, 1000}, stepped);
        ASSERT_FALSE(detector.stuck()) << "seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace bessemer
