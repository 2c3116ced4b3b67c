// Virtual time: actions run in the order of their times, those of one time in the order in which
// they were asked for. The clock stands still while an action runs.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "common/check.h"
#include "common/clock.h"

namespace bessemer::sim {

class Timeline {
 public:
  using Action = std::function<void()>;

  TimePoint now() const { return now_; }
  // Since the beginning.
  double seconds() const { return std::chrono::duration<double>(now_.time_since_epoch()).count(); }

  void after(Duration delay, Action action) {
    CHECK(delay >= Duration::zero());
    entries_.push_back({now_ + delay, ++asked_, std::move(action)});
    std::ranges::push_heap(entries_, goes_later);
  }

  // Runs the next action. False: there is none.
  bool step() {
    if (entries_.empty()) return false;
    std::ranges::pop_heap(entries_, goes_later);
    const Entry entry = std::move(entries_.back());
    entries_.pop_back();
    now_ = entry.at;
    entry.action();
    return true;
  }

 private:
  struct Entry {
    TimePoint at{};
    uint64_t order = 0;
    Action action;
  };
  static bool goes_later(const Entry& a, const Entry& b) {
    return a.at != b.at ? a.at > b.at : a.order > b.order;
  }

  TimePoint now_{};
  uint64_t asked_ = 0;
  std::vector<Entry> entries_;  // a heap, the next one first
};

constexpr Duration from_seconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

}  // namespace bessemer::sim
