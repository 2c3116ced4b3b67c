// A scheduler and a fake device driven by hand, one step at a time.
#pragma once
#include <deque>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/engine/fake_device.h"
#include "worker/engine/scheduler.h"

namespace bessemer {

class Harness {
 public:
  explicit Harness(Limits limits, EngineOptions options = {})
      : scheduler(options, limits),
        device(limits, [](const std::string& what) { ADD_FAILURE() << what; }) {}

  // One slot of everything that matters: 16 slots, 64 rows, blocks of 4 tokens.
  static Limits limits(int32_t block_count = 64, int32_t steps_in_flight = 1) {
    Limits limits;
    limits.slots = 16;
    limits.rows = 64;
    limits.logit_rows = 32;
    limits.max_len = 128;
    limits.vocab_size = 1000;
    limits.steps_in_flight = steps_in_flight;
    limits.groups.push_back({.block_tokens = 4, .block_count = block_count});
    return limits;
  }
  static Request request(uint64_t id, int32_t prompt, int32_t max_tokens) {
    Request request;
    request.id = AttemptId{id};
    for (int32_t i = 0; i < prompt; ++i) {
      request.prompt.push_back(static_cast<int32_t>(id) * 10 + i % 10);
    }
    request.max_tokens = max_tokens;
    return request;
  }

  // Launches the next step; nullptr: there is none.
  const StepPlan* plan() {
    now += std::chrono::milliseconds(1);
    auto plan = scheduler.plan(now);
    see_events();
    if (!plan) return nullptr;
    launched.push_back(std::move(*plan));
    return &launched.back();
  }
  // Executes and commits the oldest launched step.
  void commit(Fault fault = Fault::ok) {
    StepResult result = device.execute(launched.front());
    result.fault = fault;
    if (fault == Fault::group_lost) device.lose();
    commit(result);
  }
  void commit(const StepResult& result) {
    launched.pop_front();
    now += std::chrono::milliseconds(1);
    scheduler.commit(result, now);
    see_events();
  }
  bool step() {
    if (plan() == nullptr) return false;
    commit();
    return true;
  }
  int run() {
    int steps = 0;
    while (step()) ++steps;
    return steps;
  }

  std::vector<int32_t> ids(uint64_t attempt, int32_t choice = 0) {
    return tokens[{AttemptId{attempt}, choice}];
  }
  template <typename Event>
  std::vector<Event> all(uint64_t attempt) const {
    std::vector<Event> found;
    for (const EngineEvent& event : events) {
      const Event* what = std::get_if<Event>(&event.what);
      if (event.attempt == AttemptId{attempt} && what != nullptr) found.push_back(*what);
    }
    return found;
  }

  Scheduler scheduler;
  fake::FakeDevice device;
  TimePoint now{};
  std::deque<StepPlan> launched;
  std::vector<EngineEvent> events;
  std::map<std::pair<AttemptId, int32_t>, std::vector<int32_t>> tokens;

 private:
  void see_events() {
    for (EngineEvent& event : scheduler.take_events()) {
      if (const auto* seen = std::get_if<Tokens>(&event.what)) {
        append(tokens[{event.attempt, seen->choice}], seen->ids);
      }
      events.push_back(std::move(event));
    }
  }
};

}  // namespace bessemer
