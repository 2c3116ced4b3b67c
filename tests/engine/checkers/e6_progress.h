// E6: nobody fails for want of room, since what was admitted fits. That there is always a step is
// E11's to see, which knows who has credit.
#pragma once
#include "tests/engine/checkers/checker.h"

namespace bessemer {

class AlwaysGoesOn final : public Checker {
 public:
  using Checker::Checker;
  void on_event(const EngineEvent& event) override {
    const auto* failed = std::get_if<Failed>(&event.what);
    if (failed == nullptr || failed->fault != Fault::no_room) return;
    expect(false, "E6: a request found no room: " + failed->detail);
  }
};

}  // namespace bessemer
