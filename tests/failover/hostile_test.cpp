// Clients that mean harm, or are broken: each gets the status it deserves, nothing of them is left,
// and those beside them get every token as if they were alone.
#include <atomic>
#include <thread>

#include "tests/failover/clients.h"
#include "tests/failover/disorder.h"

namespace bessemer {
namespace {

class HostileTest : public DisorderTest {
 protected:
  HostileTest() {
    config_.header_timeout_ms = 400;
    config_.body_timeout_ms = 600;
  }
  int status_of(std::string_view body) { return post("/v1/completions", body).status; }

  // A byte now and then, as long as the router bears it.
  int trickle(const std::string& begin) {
    HttpClient client(port());
    client.send(begin);
    for (int i = 0; i < 60; i++) {
      client.send("x");
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return client.read_response().status;
  }
  int get_with_header_of(size_t bytes) {
    return http_get(port(), "/livez", "X-Padding: " + std::string(bytes, 'x') + "\r\n").status;
  }
  static std::string completion_of(const std::string& prompt) {
    return R"({"model":"mock","max_tokens":2,"prompt":")" + prompt + "\"}";
  }
  // All of them once.
  void misbehave() {
    EXPECT_EQ(trickle("GET /livez HTTP/1.1\r\nHost: a\r\nX-Slow: "), 408);
    EXPECT_EQ(trickle("POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{"),
              408);
    EXPECT_EQ(get_with_header_of(10'000), 200);
    EXPECT_EQ(get_with_header_of(40'000), 431);
    EXPECT_EQ(status_of(completion_of(std::string(10'000'000, 'x'))), 400);  // beyond the context
    EXPECT_EQ(status_of(std::string(17 << 20, ' ')), 413);
    EXPECT_EQ(status_of(std::string(100'000, '[')), 400);
    EXPECT_EQ(status_of(R"({"model":"mock","prompt":)" + std::string(5'000, '[') + "}"), 400);
    EXPECT_EQ(status_of(completion_of("\xff\xfe\xc3(")), 400);
  }

  // Connections that say nothing, and streams that nobody reads.
  struct Dead {
    std::vector<std::unique_ptr<HttpClient>> clients;
  };
  Dead leave_behind(int count) {
    Dead dead;
    for (int i = 0; i < count; i++) {
      dead.clients.push_back(std::make_unique<HttpClient>(port()));
      dead.clients.push_back(std::make_unique<HttpClient>(port(), std::chrono::seconds(10), 4096));
      dead.clients.back()->send(post_request("/v1/chat/completions", kLongStream));
    }
    return dead;
  }
};

TEST_F(HostileTest, OthersDoNotNotice) {
  begin();
  failover::ClientOptions options;
  options.port = port();
  options.streams = 300;
  options.concurrency = 16;
  std::atomic<bool> done{false};
  failover::ClientResult good;
  const Dead dead = leave_behind(20);
  std::thread clients([&] {
    good = failover::run_clients(mock_.model, options);
    done = true;
  });
  std::vector<std::thread> hostile;
  for (int i = 0; i < 3; i++) {
    hostile.emplace_back([&] {
      do misbehave();
      while (!done);
    });
  }
  clients.join();
  for (auto& thread : hostile) thread.join();
  EXPECT_EQ(good.count(failover::Verdict::right), options.streams);
  for (const std::string& one : good.examples) ADD_FAILURE() << one;
  EXPECT_LT(good.longest_gap_s.quantile(0.99), 1.0);
}

TEST_F(HostileTest, NothingIsLeftOfThem) {
  begin();
  {
    const Dead dead = leave_behind(20);
    EXPECT_TRUE(eventually([&] { return !workers_are_idle(); }));
    misbehave();
  }
  expect_baseline();
  EXPECT_TRUE(eventually([&] { return metric("bessemer_router_connections") == 1; }));
}

}  // namespace
}  // namespace bessemer
