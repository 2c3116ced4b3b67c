// A scheduler, a fake device and random users in virtual time, all from one seed.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/random.h"
#include "tests/engine/checkers/checker.h"
#include "tests/engine/fake_device.h"

namespace bessemer {

struct SimulationConfig {
  Limits limits;
  EngineOptions options;
  double arrival = 0.1;  // chance of a new request per turn
  double cancel = 0.02;
  double bad_outcome = 0;  // chance per Work
  double bad_step = 0;     // per step
  double lost_group = 0;   // per step
  int32_t longest_prompt = 40, longest_answer = 30, most_choices = 4;
  double shared = 0.8;        // chance that a prompt begins as others do
  double never_stored = 0.1;  // that what it computes is not shared
  double resumed = 0.15;      // that a request has run elsewhere before
  double slow = 0;            // that its receiver gives credit now and then
};
// Small enough that every bound is hit all the time.
SimulationConfig random_config(Random& random);

class Simulation {
 public:
  explicit Simulation(uint64_t seed);
  Simulation(uint64_t seed, SimulationConfig config);

  // Runs about `steps` steps with users, then until everything has ended.
  void run(int32_t steps);

  const std::optional<std::string>& complaint() const { return complaint_; }  // the first one
  uint64_t steps() const { return steps_; }
  const EngineStats& stats() const { return final_stats_; }

 private:
  void turn(bool users);
  void submit_someone();
  Request random_request();
  std::vector<int32_t> random_prompt();
  void interrupt(Request& request);
  void cancel_someone();
  void credit_someone();
  void credit(AttemptId attempt, int32_t send_until);
  void plan_all();
  void finish_step();
  void spoil(StepResult& result);
  void poison_free_blocks();
  void drain_events();

  Random random_;
  const SimulationConfig config_;
  std::optional<std::string> complaint_;
  Scheduler scheduler_;
  fake::FakeDevice device_;
  std::vector<std::unique_ptr<Checker>> checkers_;
  std::deque<StepPlan> launched_;
  std::vector<AttemptId> live_;
  std::map<AttemptId, int32_t> credit_;        // of live ones whose receivers are slow
  std::vector<std::vector<int32_t>> streams_;  // what shared prompts are beginnings of
  size_t fashion_ = 0;                         // the one that most of them are of
  TimePoint now_{};
  uint64_t attempts_ = 0, steps_ = 0;
  int32_t void_steps_ = 0;
  EngineStats final_stats_;
};

}  // namespace bessemer
