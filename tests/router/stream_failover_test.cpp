// Streams through a router whose workers crash, hang, lose their lanes, drain or misbehave: the
// client sees the answer of an undisturbed run.
#include <thread>

#include "proto/features.h"
#include "tests/router/router_fixture.h"

namespace bessemer {
namespace {

using std::chrono::milliseconds;

class StreamFailoverTest : public RouterTest {
 protected:
  StreamFailoverTest() {
    mock_.timing.step_us = 2000;
    config_.stuck_ms = 300;
  }

  static std::string body(const std::string& more = "") {
    return R"({"model":"mock","prompt":"hello","max_tokens":600,"stream":true,"seed":5,)"
           R"("temperature":1,"frequency_penalty":0.5)" +
           more + "}";
  }
  struct Seen {
    std::vector<std::string> texts = std::vector<std::string>(4);
    std::string error;
    bool done = false;
  };
  static void add(Seen& seen, const std::string& event) {
    if (event == "[DONE]" || event.empty()) {
      seen.done = event == "[DONE]";
      return;
    }
    const auto chunk = parse(event);
    if (chunk.as_object().contains("error")) {
      seen.error = chunk.at("error").at("message").as_string();
      return;
    }
    for (const auto& choice : chunk.at("choices").as_array())
      seen.texts[static_cast<size_t>(choice.at("index").as_int64())] +=
          choice.at("text").as_string();
  }
  // A stream during which `disturb` runs, behind so many events.
  Seen stream(const std::string& asked, int events = 0, const std::function<void()>& disturb = {}) {
    HttpClient client(port());
    client.send(post_request("/v1/completions", asked));
    Seen seen;
    EXPECT_EQ(client.read_head().status, 200);
    for (int i = 0; i < events; i++) add(seen, client.read_event());
    if (disturb) disturb();
    for (std::string event = "first"; !seen.done && !event.empty();) {
      event = client.read_event();
      add(seen, event);
    }
    EXPECT_EQ(seen.error, "");
    EXPECT_TRUE(seen.done);
    return seen;
  }
  MockWorker& busy() {
    for (const auto& worker : workers_) {
      if (worker->alive() && worker->engine().live() > 0) return *worker;
    }
    ADD_FAILURE() << "no worker is busy";
    return *workers_.front();
  }
  double resumes(const std::string& cause) {
    const std::string text = get("/metrics").body;
    const std::string line = "bessemer_router_resumes_total{cause=\"" + cause + "\"} ";
    const size_t at = text.find(line);
    return at == std::string::npos ? -1 : std::stod(text.substr(at + line.size()));
  }
};

TEST_F(StreamFailoverTest, ACrashIsNotNoticed) {
  add_worker();
  add_worker();
  start();
  const std::string asked = body(R"(,"n":2)");
  const Seen undisturbed = stream(asked);
  const Seen again = stream(asked, 20, [&] { busy().crash(); });
  EXPECT_EQ(again.texts, undisturbed.texts);
  EXPECT_EQ(resumes("lane") + resumes("crash"), 1);
  EXPECT_EQ(metric("bessemer_router_failover_gap_seconds_count"), 1);
  EXPECT_GT(metric("bessemer_router_resume_recomputed_tokens_total"), 0);
  EXPECT_EQ(metric("bessemer_router_failed_streams_total"), 0);
}

TEST_F(StreamFailoverTest, CrashesInARowAreSurvivedWithOneWorkerThatComesBack) {
  auto& worker = add_worker();
  start();
  const Seen undisturbed = stream(body());
  std::thread breaker;
  const Seen again = stream(body(), 10, [&] {
    breaker = std::thread([&] {
      for (int i = 0; i < 4; i++) {
        worker.crash();
        std::this_thread::sleep_for(milliseconds(20));
        EXPECT_TRUE(worker.revive().ok());
        eventually([&] { return worker.engine().live() > 0; });
        std::this_thread::sleep_for(milliseconds(40));
      }
    });
  });
  breaker.join();
  EXPECT_EQ(again.texts, undisturbed.texts);
  EXPECT_EQ(metric("bessemer_router_poisoned_total"), 0);
}

TEST_F(StreamFailoverTest, AHangIsFoundWhileLoadReportsFlow) {
  add_worker();
  add_worker();
  start();
  const Seen undisturbed = stream(body());
  MockWorker* victim = nullptr;
  const Seen again = stream(body(), 10, [&] {
    victim = &busy();
    victim->faults().hang = true;
  });
  EXPECT_EQ(again.texts, undisturbed.texts);
  EXPECT_EQ(resumes("stuck"), 1);
  victim->faults().hang = false;
  EXPECT_TRUE(eventually([&] { return ready_workers() == 2; }));
}

TEST_F(StreamFailoverTest, ALateFirstTokenOfAWorkerThatStepsIsNoHang) {
  mock_.timing.prefill_tok_s = 3;  // "hello" takes 1.7 s, far beyond stuck_ms
  add_worker();
  start();
  EXPECT_EQ(post("/v1/completions", R"({"model":"mock","prompt":"hello","max_tokens":2})").status,
            200);
  EXPECT_EQ(metric("bessemer_router_replaced_total"), 0);
}

TEST_F(StreamFailoverTest, ABrokenLaneIsAttachedAgain) {
  mock_.limits.orphan_ms = 2000;
  auto& worker = add_worker();
  add_worker();
  start();
  const Seen undisturbed = stream(body());
  const Seen again = stream(body(), 10, [&] { busy().faults().sever_after_tokens = 0; });
  EXPECT_EQ(again.texts, undisturbed.texts);
  EXPECT_EQ(metric("bessemer_router_resumes_total"), 0);
  EXPECT_EQ(worker.attached() + workers_[1]->attached(), 1);
}

TEST_F(StreamFailoverTest, MissingRowsAreWrittenElsewhere) {
  add_worker();
  add_worker();
  start();
  const Seen undisturbed = stream(body());
  const Seen again = stream(body(), 10, [&] { busy().faults().skip_offsets = 1; });
  EXPECT_EQ(again.texts, undisturbed.texts);
  EXPECT_EQ(resumes("protocol"), 1);
}

TEST_F(StreamFailoverTest, AnEchoIsNotRepeated) {
  mock_.timing.prefill_tok_s = 20;
  add_worker();
  add_worker();
  start();
  const std::string asked = body(R"(,"echo":true)");
  const Seen undisturbed = stream(asked);
  EXPECT_TRUE(undisturbed.texts[0].starts_with("hello")) << undisturbed.texts[0];
  const Seen again = stream(asked, 1, [&] { busy().crash(); });  // the echo is all that came
  EXPECT_EQ(again.texts, undisturbed.texts);
  EXPECT_EQ(metric("bessemer_router_replaced_total"), 1);
  EXPECT_EQ(metric("bessemer_router_resumes_total"), 0);  // there was nothing to go on from
}

TEST_F(StreamFailoverTest, ARefusalTiesAPromptToNobodysNumerics) {
  config_.policy = "round_robin";
  MockWorkerOptions other = mock_;
  other.model.numerics = "other";
  add_worker().faults().reject_next = 1'000'000;
  add_worker(other);
  start();
  for (int i = 0; i < 4; i++) stream(body());
  EXPECT_GT(metric("bessemer_router_bounces_total"), 0);
  EXPECT_EQ(metric("bessemer_router_resumes_foreign_numerics_total"), 0);
}

TEST_F(StreamFailoverTest, WithoutJournalsTheClientGetsTheError) {
  config_.journal_mb = 0;
  add_worker();
  add_worker();
  start();
  HttpClient client(port());
  client.send(post_request("/v1/completions", body()));
  EXPECT_EQ(client.read_head().status, 200);
  for (int i = 0; i < 10; i++) EXPECT_FALSE(client.read_event().empty());
  busy().crash();
  Seen seen;
  for (std::string event = "first"; !seen.done && !event.empty();) {
    event = client.read_event();
    add(seen, event);
  }
  EXPECT_TRUE(seen.done);
  EXPECT_NE(seen.error, "");
  EXPECT_EQ(metric("bessemer_router_failed_streams_total"), 1);
  EXPECT_GT(metric("bessemer_router_journals_given_up_total"), 0);
}

TEST_F(StreamFailoverTest, WhereNobodyTakesOverTheClientGetsTheErrorInTime) {
  config_.resume_wait_ms = 300;
  auto& worker = add_worker();
  start();
  HttpClient client(port());
  client.send(post_request("/v1/completions", body()));
  EXPECT_EQ(client.read_head().status, 200);
  for (int i = 0; i < 10; i++) EXPECT_FALSE(client.read_event().empty());
  worker.crash();
  Seen seen;
  const auto began = std::chrono::steady_clock::now();
  for (std::string event = "first"; !seen.done && !event.empty();) {
    event = client.read_event();
    add(seen, event);
  }
  EXPECT_NE(seen.error.find("no other could take over"), std::string::npos) << seen.error;
  EXPECT_GE(std::chrono::steady_clock::now() - began, milliseconds(250));
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(3000));
}

TEST_F(StreamFailoverTest, ADrainingWorkersStreamMoves) {
  add_worker();
  add_worker();
  start();
  const std::string asked = body(R"(,"n":2)");
  const Seen undisturbed = stream(asked);
  MockWorker* victim = nullptr;
  const Seen again = stream(asked, 10, [&] {
    victim = &busy();
    victim->drain(300);
  });
  EXPECT_EQ(again.texts, undisturbed.texts);
  EXPECT_EQ(resumes("handoff"), 1);
  EXPECT_TRUE(eventually([&] { return victim->engine().live() == 0; }));
  EXPECT_EQ(victim->engine().cancelled(), 1);
}

TEST_F(StreamFailoverTest, ADrainingWorkerWithoutHeirsFinishesInPlace) {
  auto& worker = add_worker();
  start();
  const Seen undisturbed = stream(body());
  const Seen again = stream(body(), 10, [&] { worker.drain(300); });
  EXPECT_EQ(again.texts, undisturbed.texts);
  EXPECT_EQ(metric("bessemer_router_resumes_total"), 0);
}

TEST_F(StreamFailoverTest, ASlowReaderStopsItsWorkerAndLosesNothing) {
  mock_.timing.step_us = 100;
  auto& worker = add_worker();
  start();
  const std::string asked =
      R"({"model":"mock","prompt":"hello","max_tokens":30000,"stream":true,"seed":5})";
  HttpClient slow(port(), std::chrono::seconds(60), 4096);
  slow.send(post_request("/v1/completions", asked));
  int64_t before = -1;
  EXPECT_TRUE(eventually([&] {  // nothing more comes: it waits for credit
    std::this_thread::sleep_for(milliseconds(300));
    return before == std::exchange(before, worker.engine().emitted()) && before > 0;
  }));
  EXPECT_LT(before, 30'000);
  EXPECT_EQ(slow.read_head().status, 200);
  Seen seen;
  for (std::string event = "first"; !seen.done && !event.empty();) {
    event = slow.read_event();
    add(seen, event);
  }
  EXPECT_TRUE(seen.done);
  EXPECT_EQ(seen.error, "");
  EXPECT_EQ(worker.engine().emitted(), 30'000);
  EXPECT_EQ(metric("bessemer_router_replaced_total"), 0);
}

}  // namespace
}  // namespace bessemer
