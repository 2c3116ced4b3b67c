// Clients come and go in every way for some time, and memory stays where it was.
// BESSEMER_CHURN_SECONDS: how long (4; a release wants 1,200).
#include <atomic>
#include <thread>

#include <unistd.h>

#include "bench/common/process.h"
#include "tests/failover/disorder.h"
#include "tests/support/environment.h"

namespace bessemer {
namespace {

constexpr int kChurningClients = 8;
// What fills up once and is bounded: of each of the two workers the epochs that it remembers (2 MB)
// and the ring of its cache's changes (1.5 MiB); arenas of threads and pools of connections besides.
// A leak of 100 bytes a client shows within two minutes.
constexpr int64_t kMostGrowthBytes = 12 << 20;

class ChurnTest : public DisorderTest {
 protected:
  // One client: a whole answer, a refused request, or a hang-up anywhere.
  void come_and_go(Random& random) {
    HttpClient client(port());
    switch (random.below(4)) {
      case 0:
        client.send(post_request("/v1/chat/completions", kChat));
        EXPECT_EQ(client.read_response().status, 200);
        return;
      case 1:
        client.send(post_request("/v1/chat/completions", "{\"model\":"));
        EXPECT_EQ(client.read_response().status, 400);
        return;
      case 2:
        client.send(post_request("/v1/chat/completions", kLongStream));
        return pause(random, 5);
      default:
        client.send(post_request("/v1/chat/completions", kLongStream));
        client.read_head();
        for (uint64_t i = random.below(8); i > 0; i--) client.read_event();
        return hang_up(client, random);
    }
  }
  // For so long; how many came.
  int64_t churn(std::chrono::milliseconds time) {
    const auto until = std::chrono::steady_clock::now() + time;
    std::atomic<int64_t> count{0};
    std::vector<std::thread> threads;
    for (uint64_t i = 0; i < kChurningClients; i++) {
      threads.emplace_back([&, i] {
        Random random(round_ * kChurningClients + i);
        while (std::chrono::steady_clock::now() < until) {
          come_and_go(random);
          count++;
        }
      });
    }
    for (auto& thread : threads) thread.join();
    round_++;
    return count;
  }

  uint64_t round_ = 0;
};

TEST_F(ChurnTest, MemoryStaysWhereItWas) {
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
  GTEST_SKIP() << "a sanitizer keeps what was freed";
#endif
  const auto seconds = static_cast<int64_t>(test::environment("BESSEMER_CHURN_SECONDS", 4));
  begin();
  churn(std::chrono::milliseconds(1500));
  expect_baseline();
  const int64_t before = bench::resident_bytes(getpid());
  const int64_t came = churn(std::chrono::seconds(seconds));
  expect_baseline();
  const int64_t grown = bench::resident_bytes(getpid()) - before;
  EXPECT_GT(came, 100);
  EXPECT_LT(grown, kMostGrowthBytes) << "after " << came << " clients, from " << before;
  RecordProperty("clients", static_cast<int>(came));
  RecordProperty("grown_bytes", static_cast<int>(grown));
}

}  // namespace
}  // namespace bessemer
