// Cancels and credit on their way to the engine thread. One entry per live attempt, so it is bounded
// by them and never refuses.
#pragma once
#include <algorithm>
#include <map>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "worker/engine/admission.h"

namespace bessemer {

// What has been said of an attempt since the last take().
struct Control {
  AttemptId attempt{};
  bool cancel_all = false;
  std::vector<int32_t> cancelled;  // choices, unless all
  int32_t send_until = 0;          // the highest; 0: nothing was said
};

class ControlBox {
 public:
  // From submit to the terminal event an attempt is live and can be controlled.
  void begin(AttemptId attempt) {
    std::lock_guard lock(mutex_);
    live_[attempt];
  }
  void end(AttemptId attempt) {
    std::lock_guard lock(mutex_);
    live_.erase(attempt);
  }
  // True: the engine thread must be woken; it has not been since the last take(). No choices: all.
  bool cancel(AttemptId attempt, std::span<const int32_t> choices) {
    std::lock_guard lock(mutex_);
    Control* control = note(attempt);
    if (control == nullptr) return false;
    if (choices.empty()) control->cancel_all = true;
    for (const int32_t choice : choices) {
      const bool known = std::ranges::find(control->cancelled, choice) != control->cancelled.end();
      if (!known && control->cancelled.size() < static_cast<size_t>(kMaxChoices))
        control->cancelled.push_back(choice);
    }
    return !std::exchange(pending_, true);
  }
  bool credit(AttemptId attempt, int32_t send_until) {
    std::lock_guard lock(mutex_);
    Control* control = note(attempt);
    if (control == nullptr) return false;
    control->send_until = std::max(control->send_until, send_until);
    return !std::exchange(pending_, true);
  }
  // Ended attempts are left out.
  std::vector<Control> take() {
    std::lock_guard lock(mutex_);
    std::vector<Control> taken;
    pending_ = false;
    for (const AttemptId attempt : std::exchange(noted_, {})) {
      const auto found = live_.find(attempt);
      if (found == live_.end()) continue;
      taken.push_back(std::exchange(found->second.control, {}));
      taken.back().attempt = attempt;
      found->second.is_noted = false;
    }
    return taken;
  }

 private:
  struct Entry {
    Control control;
    bool is_noted = false;  // in noted_
  };
  // Attempts are never reused, so one that ended and is still noted is noted once.
  Control* note(AttemptId attempt) {
    const auto found = live_.find(attempt);
    if (found == live_.end()) return nullptr;
    if (!std::exchange(found->second.is_noted, true)) noted_.push_back(attempt);
    return &found->second.control;
  }

  std::mutex mutex_;
  std::map<AttemptId, Entry> live_;
  std::vector<AttemptId> noted_;  // those with something to take; emptied by each take()
  bool pending_ = false;
};

}  // namespace bessemer
