// The pool's invariants T1-T4.
#include "worker/backend/cpu/thread_pool.h"

#include <atomic>
#include <chrono>
#include <set>
#include <vector>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <xmmintrin.h>

namespace bessemer::cpu {
namespace {

std::unique_ptr<ThreadPool> make_pool(int32_t threads) {
  StatusOr<std::unique_ptr<ThreadPool>> pool = ThreadPool::make(threads);
  EXPECT_TRUE(pool.ok()) << pool.status();
  return *std::move(pool);
}

TEST(ThreadPool, RunsEachTaskOnce) {
  for (const int32_t threads : {1, 2, 3, 8}) {
    const auto pool = make_pool(threads);
    EXPECT_EQ(pool->threads(), threads);
    for (const int32_t tasks : {0, 1, 2, 7, 1000}) {
      std::vector<int> runs(static_cast<size_t>(
          tasks));  // plain: a task is one thread's, and run() orders it before us
      std::atomic<bool> bad_thread = false;
      pool->run(tasks, [&](int32_t task, int32_t thread) {
        ++runs[static_cast<size_t>(task)];
        if (thread < 0 || thread >= threads) bad_thread = true;
      });
      EXPECT_EQ(runs, std::vector<int>(static_cast<size_t>(tasks), 1));
      EXPECT_FALSE(bad_thread);
    }
  }
}

// Loops follow each other at once, so that late threads meet the next loop's numbers.
TEST(ThreadPool, ManyShortLoops) {
  const auto pool = make_pool(4);
  int64_t total = 0;
  for (int loop = 0; loop < 20'000; ++loop) {
    std::array<int64_t, 5> parts{};
    pool->run(5, [&](int32_t task, int32_t) { parts[static_cast<size_t>(task)] = task + loop; });
    for (const int64_t part : parts) total += part;
  }
  EXPECT_EQ(total, int64_t{5} * 20'000 * 19'999 / 2 + 20'000 * 10);
}

TEST(ThreadPool, LoopsAfterASleep) {
  const auto pool = make_pool(3);
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> count = 0;
    pool->run(50, [&](int32_t, int32_t) { ++count; });
    EXPECT_EQ(count, 50);
  }
}

// T2: the caller gets through although the other threads are busy elsewhere for long.
TEST(ThreadPool, DoesNotWaitForThreadsThatHaveNotBegun) {
  const auto pool = make_pool(2);
  // Once the other thread has a task it sits in it until all tasks have been taken: the rest must
  // be the caller's.
  std::atomic<int> other = 0, caller = 0;
  pool->run(100, [&](int32_t, int32_t thread) {
    if (thread == 1) {
      ++other;
      while (caller + other < 100) std::this_thread::yield();
    } else {
      ++caller;
      if (other == 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  });
  EXPECT_EQ(caller + other, 100);
  EXPECT_LE(other, 1);
}

int64_t cpu_microseconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& t) { return int64_t{t.tv_sec} * 1'000'000 + t.tv_usec; };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

TEST(ThreadPool, IdlePoolUsesNoCpu) {
  const auto pool = make_pool(4);
  pool->run(100, [](int32_t, int32_t) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const int64_t before = cpu_microseconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  // Threads that spin would use all of a core; a busy machine makes every wake-up cost more.
  EXPECT_LT(cpu_microseconds() - before, 25'000);
}

TEST(ThreadPool, AbortSkipsWhatHasNotBegun) {
  const auto pool = make_pool(2);
  std::atomic<int> count = 0;
  pool->run(1000, [&](int32_t, int32_t) {
    ++count;
    pool->abort();
  });
  EXPECT_LE(count, 2);
  EXPECT_TRUE(pool->aborted());
  pool->run(10, [&](int32_t, int32_t) { count = 100; });
  EXPECT_LT(count, 100);
}

TEST(ThreadPool, EqualFloatingPointModeOnAllThreads) {
  _mm_setcsr(_mm_getcsr() | 0x8040);  // FTZ and DAZ, as some library might leave them
  const uint32_t before = _mm_getcsr();
  const auto pool = make_pool(3);
  {
    const FloatMode mode;
    std::array<std::atomic<uint32_t>, 3> modes{};
    pool->run(300, [&](int32_t, int32_t thread) {
      modes[static_cast<size_t>(thread)] = _mm_getcsr() & 0xffc0;  // without the sticky flags
      std::this_thread::sleep_for(std::chrono::microseconds(10));
    });
    for (const auto& seen : modes) EXPECT_TRUE(seen == 0x1f80 || seen == 0);  // 0: had no task
    EXPECT_EQ(modes[0], 0x1f80u);
  }
  EXPECT_EQ(_mm_getcsr() & 0xffc0, before & 0xffc0);
  _mm_setcsr(0x1f80);
}

TEST(ThreadPool, RefusesAbsurdSizes) {
  EXPECT_FALSE(ThreadPool::make(0).ok());
  EXPECT_FALSE(ThreadPool::make(ThreadPool::kMaxThreads + 1).ok());
}

}  // namespace
}  // namespace bessemer::cpu
