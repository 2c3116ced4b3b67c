// A client may hang up at any moment of its request. Whatever there was of it comes back: requests,
// waiting places, attempts, the workers' slots and blocks. BESSEMER_CANCELS: hang-ups of each stage
// (200; a release wants 5,000).
#include <algorithm>
#include <atomic>
#include <thread>

#include "tests/failover/disorder.h"
#include "tests/support/environment.h"

namespace bessemer {
namespace {

constexpr int kClients = 8;  // at once

class CancelTest : public DisorderTest {
 protected:
  CancelTest() : cancels_(static_cast<int>(test::environment("BESSEMER_CANCELS", 200))) {}

  // `client(random)` opens a connection, goes to its stage and hangs up; so many times in all.
  template <typename Client>
  void hang_up_often(Client client) {
    std::atomic<int> left{cancels_};
    std::vector<std::thread> threads;
    for (uint64_t i = 0; i < kClients; i++) {
      threads.emplace_back([&, i] {
        Random random(i);
        while (left-- > 0) client(random);
      });
    }
    for (auto& thread : threads) thread.join();
  }

  const int cancels_;
};

TEST_F(CancelTest, WhileTheBodyArrives) {
  begin();
  const std::string request = post_request("/v1/chat/completions", kLongStream);
  hang_up_often([&](Random& random) {
    HttpClient client(port());
    client.send(std::string_view(request).substr(0, 1 + random.below(request.size() - 1)));
    hang_up(client, random);
  });
  expect_baseline();
  for (const auto& worker : workers_) EXPECT_LE(worker->engine().started(), 1);
}

TEST_F(CancelTest, WhileItWaitsInTheRouter) {
  begin();
  for (const auto& worker : workers_) worker->faults().max_live = 0;
  hang_up_often([&](Random& random) {
    HttpClient client(port());
    client.send(post_request("/v1/chat/completions", kLongStream));
    pause(random, 30);
    hang_up(client, random);
  });
  expect_baseline();
}

TEST_F(CancelTest, WhileItAwaitsItsAdmission) {
  begin();
  for (const auto& worker : workers_) worker->faults().hang = true;
  hang_up_often([&](Random& random) {
    HttpClient client(port());
    client.send(post_request("/v1/chat/completions", kLongStream));
    pause(random, 10);
    hang_up(client, random);
  });
  expect_baseline();
}

TEST_F(CancelTest, DuringItsPrefill) {
  mock_.timing.prefill_tok_s = 50;
  begin();
  hang_up_often([&](Random& random) {
    HttpClient client(port());
    client.send(post_request("/v1/chat/completions", kLongStream));
    EXPECT_EQ(client.read_head().status, 200);  // it is admitted
    pause(random, 3);
    hang_up(client, random);
  });
  expect_baseline();
}

TEST_F(CancelTest, WhileItDecodes) {
  begin();
  hang_up_often([&](Random& random) {
    HttpClient client(port());
    client.send(post_request("/v1/chat/completions", kLongStream));
    client.read_head();
    for (uint64_t i = random.below(12); i > 0; i--) EXPECT_FALSE(client.read_event().empty());
    hang_up(client, random);
  });
  expect_baseline();
}

TEST_F(CancelTest, WhileSeveralChoicesDecode) {
  begin();
  hang_up_often([&](Random& random) {
    HttpClient client(port());
    client.send(post_request(
        "/v1/completions",
        R"({"model":"mock","prompt":["a","b"],"n":3,"max_tokens":30000,"stream":true})"));
    client.read_head();
    for (uint64_t i = random.below(12); i > 0; i--) EXPECT_FALSE(client.read_event().empty());
    hang_up(client, random);
  });
  expect_baseline();
}

TEST_F(CancelTest, BetweenTheLastTokenAndDone) {
  begin();
  std::atomic<int> behind_the_last{0};
  hang_up_often([&](Random& random) {
    HttpClient client(port());
    client.send(post_request("/v1/completions",
                             R"({"model":"mock","prompt":"x","max_tokens":4,"stream":true})"));
    client.read_head();
    int64_t tokens = 0;
    while (tokens < 4) {
      const std::string event = client.read_event();
      if (event.empty()) break;
      const auto text = parse(event).at("choices").at(0).at("text").as_string();
      tokens += std::ranges::count(text, ',');
    }
    EXPECT_EQ(tokens, 4);
    behind_the_last++;
    hang_up(client, random);
  });
  EXPECT_EQ(behind_the_last, cancels_);
  expect_baseline();
}

}  // namespace
}  // namespace bessemer
