// The HTTP front under many threads, with a handler of the test's own and no gRPC, so that TSan
// sees all of it: answers that come from a pool's threads, clients that vanish, drain and stop in
// the middle.
#include <array>
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "router/endpoints/core_inbox.h"
#include "router/endpoints/cpu_pool.h"
#include "router/http/server.h"
#include "tests/router/http_client.h"

namespace bessemer {
namespace {

constexpr int kClients = 6;
constexpr int kFrames = 20;

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() : server_(HttpServer::create(options())), pool_(2, 1000) {
    const Status status =
        server_->start([this](ExchangePtr exchange) { answer(exchange); },
                       [this](size_t, int code, std::string_view message) {
                         ++errors_;
                         return HttpResponse{code, "text/plain", std::string(message), {}};
                       });
    EXPECT_TRUE(status.ok()) << status;
  }
  ~HttpServerTest() override { server_->stop(); }

  static HttpServerOptions options() {
    HttpServerOptions options;
    options.cores = 3;
    return options;
  }

  // An exchange that may be ended by its abort first. On its core's thread only.
  struct Answer {
    ExchangePtr exchange;
    Core* core;
    bool over = false;

    void finish() {
      if (std::exchange(over, true)) return;
      if (exchange->streaming()) return exchange->end({});
      exchange->respond({200, "text/plain", "done", {}});
    }
  };
  using AnswerPtr = std::shared_ptr<Answer>;

  // As endpoints do: work on a pool's thread, the answer on the core's own.
  void answer(const ExchangePtr& exchange) {
    const auto answer = std::make_shared<Answer>(exchange, server_->cores()[exchange->core()]);
    exchange->on_abort([this, weak = std::weak_ptr(answer)](Abort) {
      ++aborts_;
      if (const AnswerPtr open = weak.lock()) open->finish();
    });
    const bool stream = exchange->request().path == "/stream";
    const bool taken = pool_.submit([answer, stream]() mutable {
      Core* const core = answer->core;
      core->post([answer = std::move(answer), stream] {
        if (!stream || answer->over) return answer->finish();
        answer->exchange->begin_stream({});
        next_frame(answer, 0);
      });
    });
    if (!taken) answer->finish();
  }
  static void next_frame(const AnswerPtr& answer, int frame) {
    if (answer->over) return;
    if (frame == kFrames) return answer->finish();
    answer->exchange->write("data: " + std::to_string(frame) + "\n\n");
    answer->exchange->flush();
    answer->core->after(std::chrono::milliseconds(1),
                        [answer, frame] { next_frame(answer, frame + 1); });
  }

  // One client's life: pipelined requests, whole streams, streams that are left in the middle.
  void visit(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      HttpClient client(server_->port());
      if (!client.connected()) return;
      client.send(get_request("/whole") + get_request("/whole") + get_request("/stream"));
      if (client.read_response().status != 200 || client.read_response().status != 200) return;
      if (round % 3 == 0) continue;  // hangs up
      if (client.read_head().status != 200) return;
      int frames = 0;
      while (frames < (round % 3 == 1 ? kFrames : 3) && !client.read_event().empty()) ++frames;
      if (round % 3 == 1 && frames == kFrames) ++streams_;
    }
  }
  std::vector<std::thread> clients(int rounds) {
    std::vector<std::thread> threads;
    for (int i = 0; i < kClients; ++i) threads.emplace_back([this, rounds] { visit(rounds); });
    return threads;
  }

  std::unique_ptr<HttpServer> server_;
  CpuPool pool_;
  std::atomic<int> errors_{0}, aborts_{0}, streams_{0};
};

TEST_F(HttpServerTest, ManyClientsOnManyCores) {
  auto threads = clients(30);
  for (int i = 0; i < 50; ++i) {
    server_->live_requests();
    for (const Core* core : server_->cores()) EXPECT_LE(core->connections(), 100u);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(streams_, kClients * 10);
  EXPECT_GT(aborts_, 0);  // those who hung up were noticed
  EXPECT_EQ(errors_, 0);
  for (int i = 0; i < 1000 && server_->live_requests() > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(server_->live_requests(), 0u);
}

TEST_F(HttpServerTest, DrainsUnderLoad) {
  auto threads = clients(1000);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  server_->drain();
  server_->stop_accepting();
  for (auto& thread : threads) thread.join();  // nobody gets a new connection
  for (int i = 0; i < 1000 && server_->live_requests() > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(server_->live_requests(), 0u);
}

TEST_F(HttpServerTest, StopsUnderLoad) {
  auto threads = clients(1000);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  server_->abort_all();
  server_->stop();
  for (auto& thread : threads) thread.join();
}

TEST(CpuPool, RefusesWhatDoesNotFitAndDropsWhatHasNotBegun) {
  std::atomic<int> ran{0}, refused{0};
  {
    CpuPool pool(2, 8);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int k = 0; k < 200; ++k) refused += pool.submit([&] { ++ran; }) ? 0 : 1;
      });
    }
    for (auto& thread : threads) thread.join();
    while (ran == 0) std::this_thread::yield();
  }
  EXPECT_LE(ran + refused, 800);
}

TEST(CoreInbox, NothingIsLostOrWokenTwice) {
  constexpr uint32_t kPerThread = 500, kThreads = 4;
  CoreInbox inbox;
  std::atomic<int> wakes{0};
  std::atomic<uint32_t> producers{kThreads};
  std::vector<std::thread> threads;
  for (uint32_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (uint32_t i = 0; i < kPerThread; ++i) {
        CoreBatch batch;
        batch.core = thread;
        wakes += inbox.put(std::move(batch)) ? 1 : 0;
      }
      --producers;
    });
  }
  std::array<uint32_t, kThreads> taken{};
  int takes = 0;
  for (bool last = false; !last;) {
    last = producers == 0;
    const auto batches = inbox.take();
    takes += batches.empty() ? 0 : 1;
    for (const CoreBatch& batch : batches) ++taken[batch.core];
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wakes, takes);
  for (const uint32_t count : taken) EXPECT_EQ(count, kPerThread);
}

}  // namespace
}  // namespace bessemer
