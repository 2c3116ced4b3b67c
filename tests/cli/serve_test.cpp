// Shares of the cores, free ports, child processes' command lines, and the terminal client's
// parsers.
#include <algorithm>
#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "cli/run/http_stream.h"
#include "cli/serve/child.h"
#include "cli/serve/serve_command.h"
#include "common/ports.h"
#include "common/sse.h"

namespace bessemer {
namespace {

TEST(CpuShareTest, SharesAreDisjointAndCoverAllCores) {
  for (int cores = 1; cores <= 9; ++cores) {
    std::vector<int> cpus(static_cast<size_t>(cores));
    std::iota(cpus.begin(), cpus.end(), 3);
    for (int count = 1; count <= cores; ++count) {
      std::vector<int> seen;
      for (int i = 0; i < count; ++i) {
        const std::vector<int> share = cpu_share(cpus, i, count);
        EXPECT_FALSE(share.empty());
        seen.insert(seen.end(), share.begin(), share.end());
      }
      EXPECT_EQ(seen, cpus) << count << " workers on " << cores << " cores";
    }
  }
}

TEST(CpuShareTest, MoreWorkersThanCoresGetOneEach) {
  EXPECT_EQ(cpu_share({4, 5}, 0, 3), (std::vector<int>{4}));
  EXPECT_EQ(cpu_share({4, 5}, 1, 3), (std::vector<int>{5}));
  EXPECT_EQ(cpu_share({4, 5}, 2, 3), (std::vector<int>{4}));
  EXPECT_TRUE(cpu_share({}, 0, 1).empty());
}

TEST(CpuShareTest, ThreadsOfAllWorkersAreTheProcessors) {
  for (int processors = 1; processors <= 9; ++processors) {
    for (int count = 1; count <= 9; ++count) {
      int threads = 0;
      for (int i = 0; i < count; ++i) {
        EXPECT_GE(thread_share(processors, i, count), 1);
        threads += thread_share(processors, i, count);
      }
      EXPECT_GE(threads, processors);
      if (count <= processors) EXPECT_EQ(threads, processors);
    }
  }
}

TEST(PortsTest, AreDifferent) {
  const auto ports = free_ports("127.0.0.1", 20, "--host");
  ASSERT_TRUE(ports.ok());
  EXPECT_EQ(std::set<int>(ports->begin(), ports->end()).size(), 20u);
  EXPECT_GT(*std::ranges::min_element(*ports), 0);
  EXPECT_FALSE(free_ports("not an address", 1, "--host").ok());
}

TEST(ChildArgsTest, CarryEverySettingAndTheReadyDescriptor) {
  WorkerConfig worker;
  worker.model_path = "/m.gguf";
  worker.aliases = {"a", "b"};
  const std::vector<std::string> args = worker_args(worker, {.level = "debug", .json = true});
  const std::set<std::string> set(args.begin(), args.end());
  EXPECT_EQ(args.front(), "worker");
  EXPECT_TRUE(set.contains("--model=/m.gguf"));
  EXPECT_TRUE(set.contains("--aliases"));
  EXPECT_TRUE(set.contains("--log-level=debug"));
  EXPECT_TRUE(set.contains("--log-json"));
  EXPECT_TRUE(set.contains("{ready_fd}"));
}

TEST(ServerUrlTest, Forms) {
  EXPECT_EQ(parse_server_url("http://h:1/v1/")->host, "h");
  EXPECT_EQ(parse_server_url("http://h:1/v1/")->port, "1");
  EXPECT_EQ(parse_server_url("h")->port, "8000");
  EXPECT_FALSE(parse_server_url("https://h:1").ok());
  EXPECT_FALSE(parse_server_url("http://h:x").ok());
  EXPECT_FALSE(parse_server_url("http://h:1/other").ok());
  EXPECT_FALSE(parse_server_url("").ok());
}

TEST(RunSse, AnyCutGivesTheSamePayloads) {
  const std::string stream =
      ": ping\n\ndata: {\"a\":1}\n\ndata:x\r\n\r\nevent: y\ndata: [DONE]\n\n";
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    SseParser reader;
    std::vector<std::string> payloads;
    const auto collect = [&](std::string_view payload) { payloads.emplace_back(payload); };
    reader.feed(std::string_view(stream).substr(0, cut), collect);
    reader.feed(std::string_view(stream).substr(cut), collect);
    EXPECT_EQ(payloads, (std::vector<std::string>{"{\"a\":1}", "x", "[DONE]"})) << cut;
  }
}

}  // namespace
}  // namespace bessemer
