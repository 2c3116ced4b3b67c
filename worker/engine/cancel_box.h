// Cancels on their way to the engine thread. One entry per live attempt, so it is bounded by them
// and never refuses.
#pragma once
#include <algorithm>
#include <map>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "worker/engine/admission.h"

namespace bessemer {

struct Cancel {
  AttemptId attempt{};
  bool all = false;
  std::vector<int32_t> choices;  // unless all
};

class CancelBox {
 public:
  // From submit to the terminal event an attempt is live and can be cancelled.
  void begin(AttemptId attempt) {
    std::lock_guard lock(mutex_);
    live_[attempt];
  }
  void end(AttemptId attempt) {
    std::lock_guard lock(mutex_);
    live_.erase(attempt);
  }
  // True: the engine thread must be woken; it has not been since the last take().
  bool add(AttemptId attempt, std::span<const int32_t> choices) {
    std::lock_guard lock(mutex_);
    const auto found = live_.find(attempt);
    if (found == live_.end()) return false;
    Cancel& cancel = found->second;
    if (choices.empty()) cancel.all = true;
    for (const int32_t choice : choices) {
      const bool known = std::ranges::find(cancel.choices, choice) != cancel.choices.end();
      if (!known && cancel.choices.size() < static_cast<size_t>(kMaxChoices))
        cancel.choices.push_back(choice);
    }
    return !std::exchange(pending_, true);
  }
  std::vector<Cancel> take() {
    std::lock_guard lock(mutex_);
    std::vector<Cancel> taken;
    if (!std::exchange(pending_, false)) return taken;
    for (auto& [attempt, cancel] : live_) {
      if (!cancel.all && cancel.choices.empty()) continue;
      cancel.attempt = attempt;
      taken.push_back(std::exchange(cancel, {}));
    }
    return taken;
  }

 private:
  std::mutex mutex_;
  std::map<AttemptId, Cancel> live_;
  bool pending_ = false;
};

}  // namespace bessemer
