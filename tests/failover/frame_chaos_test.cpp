#include "bench/mock_worker/frame_chaos.h"

#include <gtest/gtest.h>

namespace bessemer {
namespace {

class FrameChaosTest : public ::testing::Test {
 protected:
  // Steps numbered from 1 through the chaos, 10 ms apart; what came out.
  std::vector<uint64_t> pass(uint64_t count) {
    FrameChaos chaos(faults_, 3);
    std::vector<v1::WorkerFrame> out;
    for (uint64_t i = 1; i <= count; i++) {
      v1::WorkerFrame frame;
      frame.mutable_step()->set_step(i);
      const auto now = static_cast<int64_t>(i * 10'000);
      chaos.release(now, out);
      chaos.pass(std::move(frame), now, out);
    }
    chaos.release(INT64_MAX, out);
    std::vector<uint64_t> steps;
    for (const auto& frame : out) steps.push_back(frame.step().step());
    return steps;
  }
  static std::vector<uint64_t> sorted(std::vector<uint64_t> steps) {
    std::ranges::sort(steps);
    return steps;
  }
  static std::vector<uint64_t> all(uint64_t count) {
    std::vector<uint64_t> steps;
    for (uint64_t i = 1; i <= count; i++) steps.push_back(i);
    return steps;
  }

  MockFaults faults_;
};

TEST_F(FrameChaosTest, WithoutFaultsFramesPassAsTheyCome) {
  EXPECT_EQ(pass(50), all(50));
}

TEST_F(FrameChaosTest, DroppedFramesAreGone) {
  faults_.drop = 200;
  const auto out = pass(500);
  EXPECT_LT(out.size(), 450u);
  EXPECT_GT(out.size(), 350u);
  EXPECT_EQ(out, sorted(out));
}

TEST_F(FrameChaosTest, DuplicatesFollowTheirOriginals) {
  faults_.duplicate = 200;
  auto out = pass(500);
  EXPECT_GT(out.size(), 550u);
  EXPECT_EQ(out, sorted(out));
  out.erase(std::unique(out.begin(), out.end()), out.end());
  EXPECT_EQ(out, all(500));
}

TEST_F(FrameChaosTest, ReorderedFramesAreOvertakenAndNotLost) {
  faults_.reorder = 200;
  const auto out = pass(500);
  EXPECT_NE(out, sorted(out));
  EXPECT_EQ(sorted(out), all(500));
}

TEST_F(FrameChaosTest, DelayedFramesComeLateAndAreNotLost) {
  faults_.delay = 100;
  faults_.delay_ms = 100;
  const auto out = pass(500);
  EXPECT_NE(out, sorted(out));
  EXPECT_EQ(sorted(out), all(500));
  for (size_t i = 0; i < out.size(); i++)
    EXPECT_LT(out[i], i + 25);  // by ten frames, or a few more
}

TEST_F(FrameChaosTest, HelloAndPingsAlwaysPass) {
  faults_.drop = 1000;
  FrameChaos chaos(faults_, 1);
  std::vector<v1::WorkerFrame> out;
  v1::WorkerFrame ping;
  ping.mutable_ping()->set_nonce(1);
  chaos.pass(ping, 0, out);
  EXPECT_EQ(out.size(), 1u);
}

}  // namespace
}  // namespace bessemer
