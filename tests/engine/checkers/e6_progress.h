// E6: while there are requests there is always a step to launch or one to wait for, and nobody
// fails for want of room: what was admitted fits.
#pragma once
#include "tests/engine/checkers/checker.h"

namespace bessemer {

class AlwaysGoesOn final : public Checker {
 public:
  using Checker::Checker;
  void on_no_plan(const Scheduler& scheduler) override {
    expect(scheduler.steps_in_flight() > 0 || !scheduler.has_requests(),
           "E6: nothing to launch and nothing to wait for, with requests left");
  }
  void on_event(const EngineEvent& event) override {
    const auto* failed = std::get_if<Failed>(&event.what);
    if (failed == nullptr || failed->fault != Fault::no_room) return;
    expect(false, "E6: a request found no room: " + failed->detail);
  }
};

}  // namespace bessemer
