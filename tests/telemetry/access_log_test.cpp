#include "router/telemetry/access_log.h"

#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bessemer {
namespace {

namespace fs = std::filesystem;

class AccessLogTest : public ::testing::Test {
 protected:
  AccessLogTest()
      : folder_(fs::temp_directory_path() / ("access_log." + std::to_string(getpid()))) {
    fs::create_directories(folder_);
  }
  ~AccessLogTest() override { fs::remove_all(folder_); }

  static std::vector<std::string> lines(const fs::path& path) {
    std::ifstream file(path);
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }
  fs::path path(const char* name = "access.log") const { return folder_ / name; }

  const fs::path folder_;
};

TEST_F(AccessLogTest, WritesEveryLineBehindWhatIsThere) {
  for (const char* line : {"one", "two"}) {
    auto log = AccessLog::open(path());
    ASSERT_TRUE(log.ok()) << log.status();
    (*log)->write(line);
  }
  EXPECT_EQ(lines(path()), (std::vector<std::string>{"one", "two"}));
}

TEST_F(AccessLogTest, ThreadsDoNotMixTheirLines) {
  {
    auto log = *AccessLog::open(path());
    std::vector<std::thread> threads;
    for (const char letter : {'a', 'b', 'c', 'd'}) {
      threads.emplace_back([&log, letter] {
        for (int i = 0; i < 1000; i++) log->write(std::string(300, letter));
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(log->dropped(), 0u);  // fewer than kMaxQueuedLines
  }
  const auto all = lines(path());
  ASSERT_EQ(all.size(), 4000u);
  for (const auto& line : all) EXPECT_EQ(line, std::string(300, line[0]));
}

TEST_F(AccessLogTest, GoesOnInANewFileAfterARotation) {
  {
    auto log = *AccessLog::open(path());
    log->write("before");
    while (lines(path()).empty()) std::this_thread::yield();
    fs::rename(path(), path("old.log"));
    log->write("still the old one");
    while (lines(path("old.log")).size() < 2) std::this_thread::yield();
    log->reopen();
    log->write("after");
  }
  EXPECT_EQ(lines(path("old.log")).size(), 2u);
  EXPECT_EQ(lines(path()), std::vector<std::string>{"after"});
}

TEST_F(AccessLogTest, KeepsTheOldFileWhereNoneCanBeOpened) {
  fs::create_directories(folder_ / "inner");
  {
    auto log = *AccessLog::open(folder_ / "inner" / "a.log");
    fs::rename(folder_ / "inner", folder_ / "moved");
    log->reopen();
    log->write("line");
  }
  EXPECT_EQ(lines(folder_ / "moved" / "a.log"), std::vector<std::string>{"line"});
}

TEST_F(AccessLogTest, APathThatCannotBeIsNamed) {
  const auto log = AccessLog::open(folder_ / "missing" / "a.log");
  ASSERT_FALSE(log.ok());
  EXPECT_NE(log.status().message().find("missing/a.log"), absl::string_view::npos);
}

// A reader that stands still: callers do not, and what is lost is counted.
TEST_F(AccessLogTest, AStuckFileHoldsNobodyUp) {
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  const int reader = open(path("pipe").c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  std::thread drain;
  {
    auto log = *AccessLog::open(path("pipe"));
    const std::string line(1000, 'x');
    constexpr size_t kLines = 2 * kMaxQueuedLines;  // a pipe holds 64 of them
    const auto begin = std::chrono::steady_clock::now();
    for (size_t i = 0; i < kLines; i++) log->write(line);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
    EXPECT_GT(log->dropped(), kMaxQueuedLines / 2);
    EXPECT_LT(log->dropped(), kLines);
    drain = std::thread([reader] {
      std::vector<char> bytes(1 << 16);
      for (ssize_t count = -1; count != 0; count = read(reader, bytes.data(), bytes.size())) {
        if (count < 0) std::this_thread::yield();
      }
    });
  }
  drain.join();
  close(reader);
}

}  // namespace
}  // namespace bessemer
