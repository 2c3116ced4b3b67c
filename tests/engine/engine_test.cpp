// The engine's thread: many callers, cancels, draining, stopping in the middle. Meant for TSan as
// well.
#include "worker/engine/engine.h"

#include <condition_variable>
#include <ctime>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "common/random.h"
#include "tests/engine/fake_runner.h"

namespace bessemer {
namespace {

using namespace std::chrono_literals;

Limits small_limits(int32_t steps_in_flight) {
  Limits limits;
  limits.slots = 8;
  limits.rows = 64;
  limits.logit_rows = 16;
  limits.max_len = 128;
  limits.vocab_size = 100;
  limits.steps_in_flight = steps_in_flight;
  limits.groups.push_back({.block_tokens = 4, .block_count = 64});
  return limits;
}

Request small_request(uint64_t id, int32_t max_tokens = 12) {
  Request request;
  request.id = AttemptId{id};
  request.prompt.assign(5 + id % 20, static_cast<int32_t>(id % 100));
  request.max_tokens = max_tokens;
  request.sampling.seed = id;
  return request;
}

// What the sink has seen, per attempt.
class Events {
 public:
  Engine::Sink sink() {
    return [this](StepId, std::vector<EngineEvent> events) {
      std::lock_guard lock(mutex_);
      for (EngineEvent& event : events) see(event);
      changed_.notify_all();
    };
  }
  // The name of the attempt's terminal event, or "" when there is none in time.
  std::string wait_end(uint64_t id, std::chrono::milliseconds patience = 20s) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [&] { return !ends_[AttemptId{id}].empty(); });
    return ends_[AttemptId{id}];
  }
  std::vector<int32_t> ids(uint64_t id, int32_t choice = 0) {
    std::lock_guard lock(mutex_);
    return ids_[{AttemptId{id}, choice}];
  }
  bool wait_tokens(uint64_t id, size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 20s, [&] { return ids_[{AttemptId{id}, 0}].size() >= count; });
  }
  std::string violation() {
    std::lock_guard lock(mutex_);
    return violation_;
  }

 private:
  void see(EngineEvent& event) {
    std::string& end = ends_[event.attempt];
    if (!end.empty()) violation_ = "an event after the terminal one";
    if (auto* tokens = std::get_if<Tokens>(&event.what)) {
      append(ids_[{event.attempt, tokens->choice}], tokens->ids);
    }
    if (std::holds_alternative<Done>(event.what)) end = "done";
    if (std::holds_alternative<Rejected>(event.what)) end = "rejected";
    if (const auto* failed = std::get_if<Failed>(&event.what)) {
      end = failed->fault == Fault::shutdown ? "shutdown" : "failed";
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<AttemptId, std::string> ends_;
  std::map<std::pair<AttemptId, int32_t>, std::vector<int32_t>> ids_;
  std::string violation_;
};

class EngineTest : public ::testing::TestWithParam<int32_t> {
 protected:
  void start(std::chrono::microseconds pause, EngineOptions options = {}) {
    runner_ = std::make_unique<fake::FakeRunner>(small_limits(GetParam()), pause);
    engine_ = std::make_unique<Engine>(options, *runner_, clock_, events_.sink());
  }
  void TearDown() override {
    engine_.reset();
    EXPECT_EQ(runner_->complaint(), "");
    EXPECT_EQ(events_.violation(), "");
  }

  SteadyClock clock_;
  Events events_;
  std::unique_ptr<fake::FakeRunner> runner_;
  std::unique_ptr<Engine> engine_;
};

INSTANTIATE_TEST_SUITE_P(StepsInFlight, EngineTest, ::testing::Values(1, 2));

TEST_P(EngineTest, AnswersOneRequest) {
  start(0us);
  Request request = small_request(1);
  request.n = 3;
  ASSERT_TRUE(engine_->submit(request));
  EXPECT_EQ(events_.wait_end(1), "done");
  for (int32_t choice = 0; choice < 3; ++choice) {
    EXPECT_EQ(events_.ids(1, choice), fake::answer(request, choice, 100, 128).ids);
  }
  const EngineStats stats = engine_->stats();
  EXPECT_EQ(stats.requests_finished, 1u);
  EXPECT_EQ(stats.tokens_generated, 36u);
  EXPECT_EQ(stats.running, 0);
  EXPECT_FALSE(stats.work_pending);
}

TEST_P(EngineTest, ManyThreadsSubmitAndCancel) {
  start(50us, {.max_waiting = 1000});
  constexpr uint64_t kThreads = 6, kEach = 60;
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Random random(t);
      for (uint64_t i = 0; i < kEach; ++i) {
        const uint64_t id = 1 + t * kEach + i;
        EXPECT_TRUE(engine_->submit(small_request(id)));
        if (i % 3 == 0) engine_->cancel(AttemptId{id});
        if (i % 7 == 0) engine_->cancel(AttemptId{1 + random.below(id)}, std::vector<int32_t>{0});
        (void)engine_->stats();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint64_t id = 1; id <= kThreads * kEach; ++id) EXPECT_EQ(events_.wait_end(id), "done") << id;
  for (uint64_t id = 1; id <= kThreads * kEach; ++id) {
    const std::vector<int32_t> whole = fake::answer(small_request(id), 0, 100, 128).ids;
    const std::vector<int32_t> got = events_.ids(id);
    ASSERT_LE(got.size(), whole.size());
    EXPECT_TRUE(std::equal(got.begin(), got.end(), whole.begin())) << id;
  }
  const EngineStats stats = engine_->stats();
  EXPECT_EQ(stats.running + stats.waiting, 0);
}

TEST_P(EngineTest, CancelBehindItsSubmitIsNeverLost) {
  start(20us, {.max_waiting = 1000});
  for (uint64_t id = 1; id <= 300; ++id) {
    ASSERT_TRUE(engine_->submit(small_request(id, 100)));
    engine_->cancel(AttemptId{id});
    ASSERT_EQ(events_.wait_end(id), "done");
    ASSERT_LT(events_.ids(id).size(), 100u) << id;
  }
}

TEST_P(EngineTest, CancelGivesBlocksBackWithinAStep) {
  start(1000us);
  ASSERT_TRUE(engine_->submit(small_request(1, 100)));
  ASSERT_TRUE(events_.wait_tokens(1, 3));
  EXPECT_GT(engine_->stats().kv_held, 0);
  engine_->cancel(AttemptId{1});
  EXPECT_EQ(events_.wait_end(1), "done");
  const TimePoint limit = clock_.now() + 1s;
  while (engine_->stats().kv_held > 0 && clock_.now() < limit) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(engine_->stats().kv_held, 0);
  EXPECT_EQ(engine_->stats().running, 0);
}

TEST_P(EngineTest, DrainRejectsNewRequestsAndFinishesRunningOnes) {
  start(200us);
  ASSERT_TRUE(engine_->submit(small_request(1, 50)));
  ASSERT_TRUE(events_.wait_tokens(1, 1));
  engine_->drain();
  ASSERT_TRUE(engine_->submit(small_request(2)));
  EXPECT_EQ(events_.wait_end(2), "rejected");
  EXPECT_EQ(events_.wait_end(1), "done");
  EXPECT_EQ(events_.ids(1).size(), 50u);
}

TEST_P(EngineTest, StopInTheMiddleEndsEveryAcceptedRequest) {
  for (int round = 0; round < 20; ++round) {
    Events events;
    fake::FakeRunner runner(small_limits(GetParam()), 100us);
    Engine engine({.max_waiting = 1000}, runner, clock_, events.sink());
    std::set<uint64_t> accepted;
    std::thread user([&] {
      for (uint64_t id = 1; id <= 200; ++id) {
        if (engine.submit(small_request(id, 100))) accepted.insert(id);
      }
    });
    std::this_thread::sleep_for(std::chrono::microseconds(100 * round));
    engine.stop();
    user.join();
    engine.stop();  // again is nothing
    EXPECT_FALSE(engine.submit(small_request(999)));
    for (const uint64_t id : accepted) EXPECT_NE(events.wait_end(id, 0ms), "") << id;
    EXPECT_EQ(events.violation(), "");
    EXPECT_EQ(engine.stats().running + engine.stats().waiting, 0);
  }
  start(0us);
}

TEST_P(EngineTest, AFullMailboxRefusesSubmitsAndStillTakesCancels) {
  start(5000us, {.max_waiting = 4, .mailbox_capacity = 2});
  std::vector<uint64_t> accepted;
  for (uint64_t id = 1; id <= 5000; ++id) {
    if (engine_->submit(small_request(id, 100))) accepted.push_back(id);
  }
  EXPECT_GE(accepted.size(), 2u);
  EXPECT_LT(accepted.size(), 5000u);
  for (const uint64_t id : accepted) engine_->cancel(AttemptId{id});
  for (const uint64_t id : accepted) EXPECT_NE(events_.wait_end(id), "") << id;
}

TEST_P(EngineTest, AnIdleEngineUsesNoProcessorTime) {
  start(0us);
  ASSERT_TRUE(engine_->submit(small_request(1)));
  EXPECT_EQ(events_.wait_end(1), "done");
  std::this_thread::sleep_for(20ms);
  const uint64_t steps = runner_->steps();
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(300ms);
  EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 100);  // of 300 ms
  EXPECT_EQ(runner_->steps(), steps);
}

TEST_P(EngineTest, CreditWakesWhatIsParked) {
  start(0us);
  Request request = small_request(1, 100);
  request.send_until = 1;
  ASSERT_TRUE(engine_->submit(request));
  for (int32_t until = 2; until <= 100; ++until) {
    ASSERT_TRUE(events_.wait_tokens(1, static_cast<size_t>(until) - 1));
    EXPECT_EQ(events_.ids(1).size(), static_cast<size_t>(until) - 1);
    engine_->credit(AttemptId{1}, until);
  }
  EXPECT_EQ(events_.wait_end(1), "done");
}

TEST_P(EngineTest, ManyThreadsGiveCredit) {
  start(20us, {.max_waiting = 1000});
  constexpr uint64_t kRequests = 40;
  for (uint64_t id = 1; id <= kRequests; ++id) {
    Request request = small_request(id, 40);
    request.send_until = 1;
    ASSERT_TRUE(engine_->submit(request));
  }
  std::vector<std::thread> threads;
  for (int32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int32_t until = 1 + t; until <= 44; until += 4) {
        for (uint64_t id = 1; id <= kRequests; ++id) engine_->credit(AttemptId{id}, until);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint64_t id = 1; id <= kRequests; ++id) {
    EXPECT_EQ(events_.wait_end(id), "done");
    EXPECT_EQ(events_.ids(id).size(), 40u);
  }
}

TEST_P(EngineTest, ADeadlineEndsAParkedRequestOfAnIdleEngine) {
  start(0us);
  Request request = small_request(1, 100);
  request.send_until = 3;
  request.deadline = clock_.now() + 200ms;
  ASSERT_TRUE(engine_->submit(request));
  ASSERT_TRUE(events_.wait_tokens(1, 3));
  EXPECT_EQ(events_.wait_end(1), "failed");
  EXPECT_GE(clock_.now(), request.deadline);
}

TEST_P(EngineTest, ADeadlineEndsARunningRequest) {
  start(1000us);
  Request request = small_request(1, 100);
  request.deadline = clock_.now() + 20ms;
  ASSERT_TRUE(engine_->submit(request));
  EXPECT_EQ(events_.wait_end(1), "failed");
}

}  // namespace
}  // namespace bessemer
