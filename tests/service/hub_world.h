// A hub under an engine whose steps are computed by a script: no gRPC, so it runs under TSan.
#pragma once
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "common/check.h"
#include "common/mailbox.h"
#include "worker/service/hub.h"

namespace bessemer::testing {

// Answers every plan at once on a thread of its own: each sample is token 5.
class EchoRunner final : public Runner {
 public:
  EchoRunner() {
    limits_.slots = 8;
    limits_.rows = 64;
    limits_.logit_rows = 64;
    limits_.max_len = 128;
    limits_.groups = {{.block_count = 64}};
  }
  ~EchoRunner() override { stop(); }
  const Limits& limits() const override { return limits_; }
  void set_result_sink(std::function<void(StepResult)> sink) override {
    sink_ = std::move(sink);
    thread_ = std::thread([this] { run(); });
  }
  void launch(StepPlan plan) override { CHECK(plans_.push(std::move(plan))); }
  void stop() {
    plans_.close();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void run() {
    std::vector<StepPlan> plans;
    while (plans_.wait_drain(plans)) {
      for (const StepPlan& plan : plans) sink_(answer(plan));
    }
  }
  StepResult answer(const StepPlan& plan) {
    StepResult result;
    result.id = plan.id;
    for (const Work& work : plan.work) {
      Outcome& outcome = result.outcomes.emplace_back();
      if (work.want == Want::sample)
        outcome.tokens = append(result.tokens, std::vector<int32_t>{5});
    }
    return result;
  }
  Limits limits_;
  std::function<void(StepResult)> sink_;
  Mailbox<StepPlan> plans_{4, 0};
  std::thread thread_;
};

struct World {
  SteadyClock clock;
  EchoRunner runner;
  Hub hub;
  Engine engine{{}, runner, clock, [this](StepId step, std::vector<EngineEvent> events) {
                  hub.deliver(step, std::move(events));
                }};
  World() { hub.bind(engine); }
  ~World() { engine.stop(); }
};

inline Request request(AttemptId id, int32_t max_tokens) {
  Request r;
  r.id = id;
  r.prompt = {1, 2, 3};
  r.max_tokens = max_tokens;
  return r;
}

inline void wait_until(const std::function<bool()>& what) {
  for (int i = 0; i < 2000 && !what(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_TRUE(what());
}

}  // namespace bessemer::testing
