// Time as a value: pure cores take a Clock& so that tests and the simulator run them in virtual
// time.
#pragma once
#include <chrono>
#include <cstdint>

namespace bessemer {

using Duration = std::chrono::nanoseconds;
// Monotonic, its origin unspecified; never compared between machines.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
};

class SteadyClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
};

class ManualClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  void advance(Duration by) { now_ += by; }

 private:
  TimePoint now_{};
};

inline int64_t microseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

// Seconds since 1970-01-01 00:00 by this machine's local calendar: what a template's strftime_now()
// shows.
int64_t local_calendar_seconds();

}  // namespace bessemer
