// How prompts share steps with streams and with each other.
#include <algorithm>
#include <functional>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"
#include "tests/engine/harness.h"
#include "worker/engine/chunk_pace.h"
#include "worker/engine/row_shares.h"

namespace bessemer {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using ::testing::ElementsAre;

// A device whose steps take a fixed time, more for each stream, and more for each prompt row.
struct StepCost {
  double fixed_us = 2000, stream_us = 500, row_us = 1000;
  Duration of(int32_t streams, int32_t rows) const {
    return microseconds(static_cast<int64_t>(fixed_us + stream_us * streams + row_us * rows));
  }
};

double to_ms(Duration time) {
  return static_cast<double>(time.count()) / 1e6;
}

// Steps with `streams` until the pace has settled; the last one's time.
Duration settled(ChunkPace& pace, const StepCost& cost, int32_t streams) {
  Duration last{};
  for (int i = 0; i < 40; ++i) {
    const int32_t rows = pace.rows(streams);
    last = cost.of(streams, rows);
    pace.measure(streams, rows, last);
  }
  return last;
}

// With and without steps that have no prompts, which tell what the streams alone take.
TEST(ChunkPace, SettlesAtTheMostWholeRowsThatFitFromAnywhere) {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Random random(seed);
    const auto streams = static_cast<int32_t>(random.between(1, 24));
    const StepCost cost{100 + 8000 * random.uniform(), 300 * random.uniform(),
                        1 + 600 * random.uniform()};
    ChunkPace pace(milliseconds(50), 8192);
    pace.measure(0, 100, microseconds(random.between(1, 10'000'000)));
    const bool known = random.uniform() < 0.5;
    for (int i = 0; known && i < 50; ++i) pace.measure(streams, 0, cost.of(streams, 0));
    const double ms = to_ms(settled(pace, cost, streams));
    const int32_t rows = pace.rows(streams);
    if (streams + rows + ChunkPace::kWholeRows > 8192) continue;
    EXPECT_EQ((streams + rows) % ChunkPace::kWholeRows, 0) << "seed " << seed;
    if (rows >= 2 * ChunkPace::kWholeRows) {
      EXPECT_LE(ms, 35 * 1.01) << "seed " << seed << ", " << rows << " rows";
    }
    if (known) {
      EXPECT_GT(to_ms(cost.of(streams, rows + ChunkPace::kWholeRows)), 35 * 0.99)
          << "seed " << seed << ", " << rows << " rows";
    }
  }
}

TEST(ChunkPace, ALongStepMayTakeTwiceItsTimeWithoutPrompts) {
  ChunkPace pace(milliseconds(50), 8192);
  const StepCost cost{.fixed_us = 80'000};
  for (int i = 0; i < 50; ++i) pace.measure(1, 0, cost.of(1, 0));
  EXPECT_NEAR(to_ms(settled(pace, cost, 1)), 0.7 * 2 * 80.5, 16);
}

TEST(ChunkPace, ManyStreamsSayNothingOfFew) {
  ChunkPace pace(milliseconds(50), 8192);
  const StepCost many{.fixed_us = 168'000};
  for (int i = 0; i < 50; ++i) pace.measure(64, 0, many.of(64, 0));
  EXPECT_NEAR(to_ms(settled(pace, many, 64)), 280, 28);
  EXPECT_NEAR(to_ms(settled(pace, {}, 1)), 35, 16);
}

// C5: steps grow as they turn out cheap, and as rows become dearer along a long prompt they shrink.
TEST(ChunkPace, PromptsAloneTakeHalfASecondAtMost) {
  ChunkPace pace(milliseconds(50), 512);
  for (const int32_t expected : {128, 256, 512, 512}) {
    EXPECT_EQ(pace.rows(0), expected);
    pace.measure(0, pace.rows(0), StepCost{.row_us = 200}.of(0, pace.rows(0)));
  }
  for (double row_us = 200; row_us < 3000; row_us *= 1.05) {
    const StepCost cost{.row_us = row_us};
    const int32_t rows = pace.rows(0);
    if (rows > ChunkPace::kLeastLoneRows) {
      EXPECT_LE(to_ms(cost.of(0, rows)), 500) << row_us;
    }
    EXPECT_GE(rows, ChunkPace::kLeastLoneRows);
    if (row_us < 650) EXPECT_EQ(rows, 512) << row_us;
    pace.measure(0, rows, cost.of(0, rows));
  }
  EXPECT_EQ(pace.rows(0), ChunkPace::kLeastLoneRows);
  pace.measure(0, 128, StepCost{.row_us = 200}.of(0, 128));
  EXPECT_EQ(pace.rows(0), 256);
  pace.measure(0, 3, milliseconds(10));  // the rest of a prompt
  EXPECT_EQ(pace.rows(0), 256);
}

TEST(ChunkPace, KeepsItsBounds) {
  ChunkPace pace(milliseconds(1), 256);
  settled(pace, {}, 16);
  EXPECT_EQ(pace.rows(1), 15);  // C4
  EXPECT_EQ(pace.rows(4), ChunkPace::kLeastRows);
  EXPECT_EQ(pace.rows(5), 27);  // C2: 11 would be too few
  settled(pace, {.fixed_us = 1, .stream_us = 1, .row_us = 0.01}, 1);
  EXPECT_EQ(pace.rows(1), 255);
  EXPECT_EQ(ChunkPace(milliseconds(1), 3).rows(1), 3);
  EXPECT_EQ(ChunkPace(Duration{}, 256).rows(1), 256);  // no bound
}

TEST(ChunkPace, ASmallRestOfAPromptDoesNotWidenIt) {
  ChunkPace pace(milliseconds(50), 8192);
  const StepCost cost{.row_us = 200};
  settled(pace, cost, 1);
  const int32_t rows = pace.rows(1);
  for (int i = 0; i < 20; ++i) pace.measure(1, rows / 4, cost.of(1, rows / 4));
  EXPECT_EQ(pace.rows(1), rows);
}

// What equals want.
std::vector<RowDemand> equals(std::initializer_list<int32_t> rows) {
  std::vector<RowDemand> demands;
  for (const int32_t each : rows) demands.push_back({0, each});
  return demands;
}

TEST(RowShares, HalfIsTheFirstOnesAndTheRestOfThoseWhoWantLeast) {
  EXPECT_THAT(share_rows({}, 100), ElementsAre());
  EXPECT_THAT(share_rows(equals({300}), 100), ElementsAre(100));
  EXPECT_THAT(share_rows(equals({300, 400}), 100), ElementsAre(50, 50));
  EXPECT_THAT(share_rows(equals({300, 400, 20}), 100), ElementsAre(50, 30, 20));
  EXPECT_THAT(share_rows(equals({300, 20, 10}), 100), ElementsAre(70, 20, 10));
  EXPECT_THAT(share_rows(equals({10, 300, 300}), 100), ElementsAre(10, 90, 0));
  EXPECT_THAT(share_rows(equals({5, 5}), 1), ElementsAre(1, 0));
  EXPECT_THAT(share_rows(equals({5, 5}), 0), ElementsAre(0, 0));
}

TEST(RowShares, APriorityTakesAllItWantsBeforeTheNext) {
  const std::vector<RowDemand> demands = {{2, 30}, {2, 20}, {1, 200}, {1, 10}, {0, 5}};
  EXPECT_THAT(share_rows(demands, 40), ElementsAre(20, 20, 0, 0, 0));
  EXPECT_THAT(share_rows(demands, 100), ElementsAre(30, 20, 40, 10, 0));
  EXPECT_THAT(share_rows(demands, 1000), ElementsAre(30, 20, 200, 10, 5));
}

TEST(RowShares, NothingIsLeftLyingAndNobodyGetsMoreThanItWants) {
  Random random(1);
  for (int round = 0; round < 5000; ++round) {
    std::vector<RowDemand> demands(1 + random.below(8));
    int64_t sum = 0;
    for (RowDemand& each : demands) {
      each = {static_cast<int32_t>(random.between(0, 2)),
              static_cast<int32_t>(random.between(1, 60))};
      sum += each.rows;
    }
    std::ranges::sort(demands, std::greater<>{}, &RowDemand::priority);
    const int32_t rows = static_cast<int32_t>(random.between(0, 120));
    const std::vector<int32_t> shares = share_rows(demands, rows);
    int64_t given = 0;
    for (size_t i = 0; i < demands.size(); ++i) {
      EXPECT_LE(shares[i], demands[i].rows);
      given += shares[i];
    }
    EXPECT_EQ(given, std::min<int64_t>(sum, rows));
    EXPECT_GE(shares[0], std::min(demands[0].rows, rows - rows / 2));
    // has_share() foresees what share_rows() gives to the last.
    const std::span others = std::span(demands).first(demands.size() - 1);
    EXPECT_EQ(has_share(others, demands.back(), rows), shares.back() > 0) << round;
  }
}

// Runs the next step as a device of that cost would; its time, or nothing.
std::optional<Duration> timed_step(Harness& h, const StepCost& cost) {
  const StepPlan* plan = h.plan();
  if (plan == nullptr) return std::nullopt;
  int32_t rows = 0, streams = 0;
  for (const Work& work : plan->work) {
    rows += work.count;
    if (work.count == 1 && work.want == Want::sample) ++streams;
  }
  const Duration time = cost.of(streams, rows - streams);
  h.now += time - milliseconds(1);  // plan() and commit() add a millisecond each
  h.commit();
  return time;
}

Limits roomy() {
  Limits limits = Harness::limits(4000);
  limits.rows = 512;
  limits.max_len = 8192;
  return limits;
}

TEST(Scheduler, StreamsWaitNoLongerThanTheStepTimeForALongPrompt) {
  Harness h(roomy(), {.step_tokens = 512, .stream_step = milliseconds(50)});
  const StepCost cost;
  h.scheduler.add(Harness::request(1, 10, 2000), h.now);
  for (int i = 0; i < 10; ++i) timed_step(h, cost);
  h.scheduler.add(Harness::request(2, 4000, 5), h.now);
  Duration longest{};
  while (h.ids(2).empty()) {
    const size_t before = h.ids(1).size();
    longest = std::max(longest, timed_step(h, cost).value());
    ASSERT_EQ(h.ids(1).size(), before + 1);
  }
  EXPECT_LE(longest, milliseconds(50));
  EXPECT_GE(longest, milliseconds(30));
}

TEST(Scheduler, AShortPromptIsNotHeldUpByLongOnes) {
  Harness h(roomy(), {.step_tokens = 64});
  for (uint64_t id = 1; id <= 4; ++id) h.scheduler.add(Harness::request(id, 2000, 5), h.now);
  h.step();
  h.scheduler.add(Harness::request(5, 40, 5), h.now);
  h.step();
  EXPECT_TRUE(h.ids(5).empty());
  h.step();
  EXPECT_EQ(h.ids(5).size(), 1u);  // 32 rows a step are for who wants least
  EXPECT_TRUE(h.ids(1).empty());
}

TEST(Scheduler, TwoLongPromptsGetOnAtATime) {
  Harness h(roomy(), {.step_tokens = 64});
  for (uint64_t id = 1; id <= 3; ++id) h.scheduler.add(Harness::request(id, 640, 5), h.now);
  for (int i = 0; i < 5; ++i) {
    const StepPlan* plan = h.plan();
    ASSERT_EQ(plan->work.size(), 2u);
    EXPECT_EQ(plan->work[0].count, 32);
    EXPECT_EQ(plan->work[1].count, 32);
    h.commit();
  }
}

TEST(Scheduler, ALongPromptComesToItsEndHoweverManyShortOnesArrive) {
  Harness h(roomy(), {.step_tokens = 64});
  h.scheduler.add(Harness::request(1, 1000, 5), h.now);
  h.scheduler.add(Harness::request(2, 1000, 5), h.now);
  uint64_t id = 2;
  int steps = 0;
  while (h.ids(2).empty() && steps < 200) {
    for (int i = 0; i < 2; ++i) h.scheduler.add(Harness::request(++id, 40, 1), h.now);
    h.step();
    ++steps;
  }
  EXPECT_LE(steps, 2 * 1000 / 32 + 4);  // half of the rows are always the first one's
}

}  // namespace
}  // namespace bessemer
