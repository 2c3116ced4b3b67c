#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/runner/host_memory.h"
#include "worker/runner/memory_plan.h"

namespace bessemer::testing {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kMegabyte = 1 << 20;

// One sequence of 100 tokens takes 7 blocks of 1 MB; four slots.
MemoryRequest request() {
  return {.weight_bytes = 5 * kMegabyte,
          .scratch_bytes = kMegabyte,
          .available_bytes = 1000 * kMegabyte,
          .kv_cache_bytes = 0,
          .kv_fraction = 0.5,
          .block_bytes = kMegabyte,
          .block_tokens = 16,
          .max_len = 100,
          .slots = 4};
}

TEST(MemoryPlan, TakesNoMoreThanTheSlotsCanUse) {
  const auto plan = plan_memory(request());
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->kv_blocks, 28);
  EXPECT_EQ(plan->kv_bytes(), 28 * kMegabyte);
  EXPECT_THAT(describe(*plan),
              HasSubstr("28 blocks of 16 tokens: 448 tokens, 4.5 sequences of 100"));
}

TEST(MemoryPlan, TakesItsShareWhereMemoryIsScarce) {
  MemoryRequest r = request();
  r.available_bytes = 20 * kMegabyte;
  EXPECT_EQ(plan_memory(r)->kv_blocks, 10);
}

TEST(MemoryPlan, TakesWhatItIsTold) {
  MemoryRequest r = request();
  r.kv_cache_bytes = 100 * kMegabyte;
  EXPECT_EQ(plan_memory(r)->kv_blocks, 100);
}

TEST(MemoryPlan, RefusesWhereOneSequenceWouldNotFit) {
  MemoryRequest r = request();
  r.available_bytes = 13 * kMegabyte;  // half of it: six blocks
  const auto plan = plan_memory(r);
  EXPECT_TRUE(absl::IsResourceExhausted(plan.status()));
  const std::string message(plan.status().message());
  EXPECT_THAT(message, HasSubstr("one sequence of 100 tokens needs a KV cache of 7.0 MB"));
  EXPECT_THAT(message, HasSubstr("kv_cache_mb to 7 or more"));
  EXPECT_THAT(message, HasSubstr("its max_model_len to 96 or less"));
}

TEST(MemoryPlan, RefusesMoreThanThereIs) {
  MemoryRequest r = request();
  r.kv_cache_bytes = 1001 * kMegabyte;
  EXPECT_THAT(std::string(plan_memory(r).status().message()),
              HasSubstr("1001.0 MB does not fit: 1000.0 MB"));
}

// A tree of files that looks like /proc and /sys.
class HostMemory : public ::testing::Test {
 protected:
  HostMemory()
      : root_(std::filesystem::temp_directory_path() /
              ("bessemer-memory-" + std::to_string(getpid()))) {
    put("/proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n");
  }
  ~HostMemory() override { std::filesystem::remove_all(root_); }
  void put(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_.string() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  uint64_t available() { return available_memory_bytes(root_.string()).value(); }
  const std::filesystem::path root_;
};

TEST_F(HostMemory, IsWhatTheKernelSaysWithoutLimits) {
  EXPECT_EQ(available(), 8000u * 1024);
}

TEST_F(HostMemory, HeedsEveryGroupAbove) {
  put("/proc/self/cgroup", "0::/outer/inner\n");
  put("/sys/fs/cgroup/outer/inner/memory.max", "max\n");
  put("/sys/fs/cgroup/outer/inner/memory.current", "100\n");
  put("/sys/fs/cgroup/outer/memory.max", "5000\n");
  put("/sys/fs/cgroup/outer/memory.current", "3000\n");
  put("/sys/fs/cgroup/outer/memory.stat", "anon 1\ninactive_file 500\n");
  EXPECT_EQ(available(), 5000u - (3000 - 500));
  put("/sys/fs/cgroup/outer/memory.current", "9000\n");
  EXPECT_EQ(available(), 0u);
}

TEST_F(HostMemory, HeedsVersionOneWhoseGroupIsTheMount) {
  put("/proc/self/cgroup", "5:cpu:/x\n4:memory,other:/docker/abc\n");
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "6000\n");
  put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1000\n");
  EXPECT_EQ(available(), 5000u);
}

TEST(HostMemoryHere, CanBeRead) {
  const auto bytes = available_memory_bytes();
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_GT(*bytes, kMegabyte);
  EXPECT_FALSE(available_memory_bytes("/nowhere").ok());
}

}  // namespace
}  // namespace bessemer::testing
