// One invariant, watched from outside during a simulation. A complaint fails the test and names the
// seed.
#pragma once
#include <functional>
#include <string>

#include "worker/engine/scheduler.h"

namespace bessemer {

class Checker {
 public:
  using Complain = std::function<void(const std::string&)>;
  explicit Checker(Complain complain) : complain_(std::move(complain)) {}
  virtual ~Checker() = default;

  virtual void on_submit(const Request& request) { (void)request; }
  virtual void on_cancel(AttemptId attempt) { (void)attempt; }
  virtual void on_credit(AttemptId attempt, int32_t send_until) {
    (void)attempt;
    (void)send_until;
  }
  // After plan() gave `plan`.
  virtual void on_plan(const StepPlan& plan, const Scheduler& scheduler) {
    (void)plan;
    (void)scheduler;
  }
  // After plan() gave nothing, and all events were seen.
  virtual void on_no_plan(const Scheduler& scheduler) { (void)scheduler; }
  // Before commit().
  virtual void on_result(const StepResult& result) { (void)result; }
  // After commit().
  virtual void on_commit(const Scheduler& scheduler) { (void)scheduler; }
  virtual void on_event(const EngineEvent& event) { (void)event; }
  // Every request has ended and nothing is in flight.
  virtual void on_idle(const Scheduler& scheduler) { (void)scheduler; }

 protected:
  void expect(bool holds, const std::string& what) {
    if (!holds) complain_(what);
  }

 private:
  Complain complain_;
};

}  // namespace bessemer
