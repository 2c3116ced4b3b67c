#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/common/host.h"
#include "bench/common/process.h"
#include "bench/common/samples.h"

namespace bessemer::bench {
namespace {

using testing::ElementsAre;

Samples samples_of(const std::vector<double>& values) {
  Samples samples;
  for (const double value : values) samples.add(value);
  return samples;
}

// numpy.quantile([7, 1, 3, 10, 4], [0, .25, .5, .95, .99, 1])
TEST(Samples, QuantilesAreNumpys) {
  Samples samples = samples_of({7, 1, 3, 10, 4});
  EXPECT_DOUBLE_EQ(samples.quantile(0), 1);
  EXPECT_DOUBLE_EQ(samples.quantile(0.25), 3);
  EXPECT_DOUBLE_EQ(samples.quantile(0.5), 4);
  EXPECT_DOUBLE_EQ(samples.quantile(0.95), 9.4);
  EXPECT_DOUBLE_EQ(samples.quantile(0.99), 9.88);
  EXPECT_DOUBLE_EQ(samples.quantile(1), 10);
  EXPECT_DOUBLE_EQ(samples.max(), 10);
  EXPECT_DOUBLE_EQ(samples.mean(), 5);
  samples.add(0);
  EXPECT_DOUBLE_EQ(samples.quantile(0), 0) << "a sample after a question counts too";
}

TEST(Samples, EmptyAndSingleSets) {
  Samples none;
  EXPECT_EQ(none.quantile(0.5), 0);
  EXPECT_EQ(none.mean(), 0);
  EXPECT_EQ(samples_of({3}).quantile(0.99), 3);
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median({4, 2}), 3) << "the mean of the two in the middle";
}

TEST(Host, NamesTheProcessorAndWhatDecidesItsKernels) {
  const Host host = parse_cpuinfo(
      "processor\t: 0\nmodel name\t: Example 9000\nflags\t\t: fpu avx2 sse avx512_vnni amx_int8\n"
      "processor\t: 1\nmodel name\t: Another\nflags\t\t: fma\n");
  EXPECT_EQ(host.cpu, "Example 9000");
  EXPECT_THAT(host.features, ElementsAre("amx_int8", "avx2", "avx512_vnni"));
  EXPECT_EQ(parse_cpuinfo("").cpu, "unknown");
  EXPECT_EQ(parse_cpuinfo("model name").cpu, "");
  EXPECT_GE(this_host().processors, 1);
}

TEST(Program, RunsAndIsStopped) {
  const std::string log = testing::TempDir() + "/program.log";
  StatusOr<Program> program = Program::start("sleep 100", log);
  ASSERT_TRUE(program.ok()) << program.status();
  EXPECT_TRUE(program->running());
  const pid_t pid = program->pid();
  EXPECT_THAT(process_tree(pid), ElementsAre(pid));
  {
    const Program moved = *std::move(program);
  }
  EXPECT_EQ(kill(pid, 0), -1) << "it has ended and was reaped";
}

TEST(Program, ThatEndsByItselfIsSeen) {
  StatusOr<Program> program = Program::start("false", testing::TempDir() + "/false.log");
  ASSERT_TRUE(program.ok());
  for (int i = 0; i < 500 && program->running(); ++i) usleep(10'000);
  EXPECT_FALSE(program->running());
  const auto refused = Program::start("true", "/nowhere/at/all.log");
  EXPECT_NE(refused.status().ToString().find("/nowhere/at/all.log"), std::string::npos);
}

TEST(Memory, OfThisProcessIsSeen) {
  const Memory before = memory_of_tree(getpid());
  EXPECT_GT(before.total_bytes, 1 << 20);
  constexpr size_t kMore = 64 << 20;
  void* more = mmap(nullptr, kMore, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  ASSERT_NE(more, MAP_FAILED);
  const Memory after = memory_of_tree(getpid());
  munmap(more, kMore);
  EXPECT_GE(after.anonymous_bytes - before.anonymous_bytes, 60 << 20);
  EXPECT_LE(after.anonymous_bytes, after.total_bytes);
}

}  // namespace
}  // namespace bessemer::bench
