// How attention is cut: complete, without overlap, balanced, and whole where whole will do.
#include "worker/backend/cpu/attend_plan.h"

#include <algorithm>
#include <map>
#include <tuple>

#include <gtest/gtest.h>

#include "common/random.h"

namespace bessemer::cpu {
namespace {

using kernels::kKvChunk;
using kernels::kQueriesPerCall;

// A step of sequences that had `before` positions and get `rows` more.
struct Step {
  std::vector<int32_t> query_start{0}, positions, kv_len;

  void add(int32_t before, int32_t rows) {
    for (int32_t r = 0; r < rows; ++r) positions.push_back(before + r);
    query_start.push_back(static_cast<int32_t>(positions.size()));
    kv_len.push_back(before + rows);
  }
  AttendWork work(int32_t kv_heads, int32_t heads, int32_t width) const {
    return {.query_start = query_start,
            .positions = positions,
            .kv_len = kv_len,
            .kv_heads = kv_heads,
            .heads = heads,
            .key_width = width,
            .value_width = width};
  }
};

AttendPlan made(const Step& step, const AttendWork& work, int32_t threads) {
  AttendPlan plan(threads);
  plan.reserve(static_cast<int32_t>(step.kv_len.size()));
  plan.make(work);
  return plan;
}

int32_t chunks_of_run(const Step& step, const AttendWork& work, const AttendTask& task) {
  const int32_t row = step.query_start[static_cast<size_t>(task.sequence)] +
                      (task.first_query + task.queries - 1) / work.heads;
  return (step.positions[static_cast<size_t>(row)] + kKvChunk) / kKvChunk;
}

int64_t cost_of(const AttendTask& task, int32_t chunks_of_whole) {
  return (task.queries + kernels::kQueriesAtOnce - 1) / kernels::kQueriesAtOnce *
         (task.unit < 0 ? chunks_of_whole : task.end - task.begin);
}

// Time of the slowest thread when tasks are claimed in order, over an equal share of the work.
double imbalance(const Step& step, const AttendWork& work, int32_t threads) {
  AttendPlan plan = made(step, work, threads);
  double slowest = 0, all = 0;
  for (int32_t pass = 0; pass < plan.passes(); ++pass) {
    plan.begin_pass(pass);
    std::vector<int64_t> busy(static_cast<size_t>(threads), 0);
    for (int32_t i = 0; i < plan.tasks(); ++i) {
      const AttendTask task = plan.task(i);
      *std::ranges::min_element(busy) += cost_of(task, chunks_of_run(step, work, task));
    }
    slowest += static_cast<double>(*std::ranges::max_element(busy));
    for (const int64_t time : busy) all += static_cast<double>(time);
  }
  return slowest / (all / threads);
}

// P1 and P3 of a plan.
void expect_complete(const Step& step, const AttendWork& work, int32_t threads) {
  AttendPlan plan = made(step, work, threads);
  using Unit = std::tuple<int32_t, int32_t, int32_t>;  // sequence, KV head, first query
  std::map<Unit, int32_t> done;                        // chunks
  const size_t partial = kernels::attention_partial_floats(work.value_width);
  for (int32_t pass = 0; pass < plan.passes(); ++pass) {
    plan.begin_pass(pass);
    std::map<size_t, size_t> memory;   // begin and end
    std::map<int32_t, int32_t> tasks;  // of split units
    for (int32_t i = 0; i < plan.tasks(); ++i) {
      const AttendTask task = plan.task(i);
      int32_t& chunks = done[{task.sequence, task.kv_head, task.first_query}];
      if (task.unit < 0) {
        ASSERT_EQ(pass, 0);
        ASSERT_EQ(chunks, 0);
        chunks = chunks_of_run(step, work, task);
        continue;
      }
      ++tasks[task.unit];
      ASSERT_LT(task.unit, AttendPlan::kSplitUnits * threads);
      ASSERT_EQ(chunks, task.begin);  // a unit's tasks come in order
      chunks = task.end;
      const size_t size = partial * static_cast<size_t>(task.queries) *
                          static_cast<size_t>(task.window_end - task.window_begin);
      const auto [at, fresh] = memory.try_emplace(task.partials, task.partials + size);
      ASSERT_TRUE(fresh || at->second == task.partials + size || size == 0);
    }
    plan.for_split_units([&](int32_t unit, int32_t count) {
      if (pass == 0 || tasks.contains(unit)) {
        ASSERT_EQ(tasks[unit], count);
      }
    });
    size_t free = 0;
    for (const auto& [begin, end] : memory) {
      ASSERT_GE(begin, free);
      free = std::max(free, end);
    }
    ASSERT_LE(free, AttendPlan::kPartialFloats * static_cast<size_t>(threads));
  }
  size_t units = 0;
  for (size_t s = 0; s < step.kv_len.size(); ++s) {
    const int32_t queries = (step.query_start[s + 1] - step.query_start[s]) * work.heads;
    for (int32_t head = 0; head < work.kv_heads; ++head) {
      for (int32_t first = 0; first < queries; first += kQueriesPerCall, ++units) {
        const AttendTask run{.sequence = static_cast<int32_t>(s),
                             .kv_head = head,
                             .first_query = first,
                             .queries = std::min(queries - first, kQueriesPerCall)};
        const int32_t chunks = done[{run.sequence, head, first}];
        ASSERT_EQ(chunks, chunks_of_run(step, work, run)) << s << " " << head << " " << first;
      }
    }
  }
  ASSERT_EQ(done.size(), units);
}

TEST(AttendPlanTest, EveryChunkIsInOneTask) {
  Random random(1);
  for (int round = 0; round < 300; ++round) {
    Step step;
    const int64_t sequences = random.between(0, 12);
    for (int64_t s = 0; s < sequences; ++s) {
      const bool prompt = random.chance(0.2);
      step.add(static_cast<int32_t>(random.between(0, random.chance(0.1) ? 200'000 : 3'000)),
               static_cast<int32_t>(prompt ? random.between(1, 600) : 1));
    }
    const AttendWork work =
        step.work(static_cast<int32_t>(random.between(1, 9)),
                  static_cast<int32_t>(random.between(1, 40)), random.chance(0.5) ? 64 : 1024);
    expect_complete(step, work, static_cast<int32_t>(random.between(1, 70)));
    if (testing::Test::HasFatalFailure()) FAIL() << "round " << round;
  }
}

TEST(AttendPlanTest, AThreadAloneSplitsNothing) {
  Step step;
  step.add(8191, 1);
  const AttendWork work = step.work(3, 3, 64);
  AttendPlan plan = made(step, work, 1);
  plan.begin_pass(0);
  EXPECT_EQ(plan.tasks(), 3);
  EXPECT_EQ(plan.split_units(), 0);
}

TEST(AttendPlanTest, ShortContextsAndManySequencesStayWhole) {
  Step one_chunk, many;
  one_chunk.add(100, 1);
  for (int32_t s = 0; s < 16; ++s) many.add(500, 1);
  EXPECT_EQ(made(one_chunk, one_chunk.work(3, 3, 64), 2).split_units(), 0);
  EXPECT_EQ(made(many, many.work(3, 3, 64), 2).split_units(), 0);
}

TEST(AttendPlanTest, OneStreamKeepsAllThreadsBusy) {
  for (const int32_t length : {1000, 2048, 8192, 131'072}) {
    Step step;
    step.add(length - 1, 1);
    EXPECT_LT(imbalance(step, step.work(3, 3, 64), 2), 1.15) << length;
    EXPECT_LT(imbalance(step, step.work(8, 4, 64), 2), 1.15) << length;
    if (length > 8000) {
      EXPECT_LT(imbalance(step, step.work(8, 4, 128), 64), 1.2) << length;
    }
  }
}

TEST(AttendPlanTest, UnequalWorkIsBalanced) {
  Step prompt_and_streams, long_and_short;
  for (int32_t s = 0; s < 6; ++s) prompt_and_streams.add(300, 1);
  prompt_and_streams.add(2000, 250);
  for (int32_t s = 0; s < 15; ++s) long_and_short.add(200, 1);
  long_and_short.add(8000, 1);
  for (const int32_t threads : {2, 4, 16}) {
    EXPECT_LT(imbalance(prompt_and_streams, prompt_and_streams.work(3, 3, 64), threads), 1.15);
    EXPECT_LT(imbalance(long_and_short, long_and_short.work(3, 3, 64), threads), 1.25);
  }
}

TEST(AttendPlanTest, LargestTasksComeFirst) {
  Step step;
  step.add(100, 1);
  step.add(5000, 1);
  for (int32_t s = 0; s < 30; ++s) step.add(1000, 1);
  AttendPlan plan = made(step, step.work(2, 4, 64), 2);
  plan.begin_pass(0);
  EXPECT_EQ(plan.task(0).sequence, 1);
  EXPECT_EQ(plan.task(plan.tasks() - 1).sequence, 0);
}

// The memory for results does not grow with the context.
TEST(AttendPlanTest, LongContextsOfWideHeadsTakePasses) {
  Step step;
  step.add(99'999, 1);
  const AttendWork work = step.work(1, 32, 1024);
  AttendPlan plan = made(step, work, 2);
  EXPECT_GT(plan.passes(), 1);
  expect_complete(step, work, 2);
  EXPECT_LT(imbalance(step, work, 2), 1.15);
}

}  // namespace
}  // namespace bessemer::cpu
