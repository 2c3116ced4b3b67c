#include "router/upstream/call_count.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

namespace bessemer {
namespace {

struct SlowToDie {
  ~SlowToDie() {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    dead = true;
  }
  std::atomic<bool>& dead;
};

struct Call {
  Call(CallCount& calls, std::atomic<bool>& dead) : counted(calls), rest{dead} {}
  const CallCount::Hold counted;
  SlowToDie rest;
};

TEST(CallCount, NobodyIsWaitedForWhereThereAreNoCalls) {
  CallCount calls;
  calls.wait_for_none();
}

// As a gRPC thread that destroys the context of the last call while the session is being destroyed.
TEST(CallCount, ACallIsCountedUntilAllOfItIsDestroyed) {
  CallCount calls;
  std::atomic<bool> dead = false;
  auto call = std::make_unique<Call>(calls, dead);
  std::thread other([&] { call.reset(); });
  calls.wait_for_none();
  EXPECT_TRUE(dead);
  other.join();
}

}  // namespace
}  // namespace bessemer
