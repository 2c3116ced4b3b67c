// Quotas of control groups, read from trees like those of the kernel.
#include "worker/backend/cpu/cpu_count.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace bessemer::cpu {
namespace {

class CgroupTest : public testing::Test {
 protected:
  CgroupTest()
      : root_(std::filesystem::path(testing::TempDir()) /
              ("cgroup_" +
               std::string(testing::UnitTest::GetInstance()->current_test_info()->name()))) {
    std::filesystem::remove_all(root_);
  }
  ~CgroupTest() override { std::filesystem::remove_all(root_); }

  void put(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text << "\n";
  }
  int32_t processors() const { return cgroup_processors(root_.string()); }

  std::filesystem::path root_;
};

TEST_F(CgroupTest, NothingThere) {
  EXPECT_EQ(processors(), 0);
}

TEST_F(CgroupTest, Version2WithoutAQuota) {
  put("proc/self/cgroup", "0::/a/b");
  put("sys/fs/cgroup/a/b/cpu.max", "max 100000");
  EXPECT_EQ(processors(), 0);
}

TEST_F(CgroupTest, Version2RoundsUp) {
  put("proc/self/cgroup", "0::/a/b");
  put("sys/fs/cgroup/a/b/cpu.max", "150000 100000");
  EXPECT_EQ(processors(), 2);
  put("sys/fs/cgroup/a/b/cpu.max", "20000 100000");
  EXPECT_EQ(processors(), 1);
}

TEST_F(CgroupTest, AGroupAboveMayBeTighter) {
  put("proc/self/cgroup", "0::/a/b");
  put("sys/fs/cgroup/a/cpu.max", "300000 100000");
  put("sys/fs/cgroup/a/b/cpu.max", "800000 100000");
  EXPECT_EQ(processors(), 3);
}

// In a container the path is the host's, the mount shows the container's own group as its root.
TEST_F(CgroupTest, PathOfTheHost) {
  put("proc/self/cgroup", "0::/../../kubepods/pod1");
  put("sys/fs/cgroup/cpu.max", "400000 100000");
  EXPECT_EQ(processors(), 4);
}

TEST_F(CgroupTest, Version1) {
  put("proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/docker/1\n0::/");
  put("sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "250000");
  put("sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000");
  put("sys/fs/cgroup/memory/x/cpu.cfs_quota_us", "1");
  EXPECT_EQ(processors(), 3);
  put("sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "-1");
  EXPECT_EQ(processors(), 0);
}

TEST_F(CgroupTest, NonsenseIsNoQuota) {
  put("proc/self/cgroup", "garbage\n0::/a\n::\n");
  for (const std::string text : {"", "x y", "100000", "100000 0", "-5 100000", "0 0"}) {
    put("sys/fs/cgroup/a/cpu.max", text);
    EXPECT_EQ(processors(), 0) << text;
  }
}

TEST(CpuCount, ThisMachineHasAtLeastOne) {
  EXPECT_GE(usable_processors(), 1);
}

}  // namespace
}  // namespace bessemer::cpu
