// Counts the calls that gRPC still holds: a session may only die when there are none, since OnDone
// can be late.
#pragma once
#include <condition_variable>
#include <mutex>

namespace bessemer {

class CallCount {
 public:
  void add() {
    std::lock_guard lock(mutex_);
    live_++;
  }
  void remove() {
    std::lock_guard lock(mutex_);
    if (--live_ == 0) none_.notify_all();
  }
  void wait_for_none() {
    std::unique_lock lock(mutex_);
    none_.wait(lock, [&] { return live_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  size_t live_ = 0;
};

}  // namespace bessemer
