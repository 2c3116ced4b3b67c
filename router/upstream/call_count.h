// Counts the calls that gRPC still holds: a session may only die when there are none, since OnDone
// can be late.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace bessemer {

class CallCount {
 public:
  // What a call consists of has one as its first member, so that it is counted until everything
  // else of it is destroyed: a context that outlives the session would take its channel, and with
  // it gRPC's threads, down from one of these threads.
  class Hold {
   public:
    explicit Hold(CallCount& calls) : calls_(calls) { calls_.add(); }
    ~Hold() { calls_.remove(); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    CallCount& calls_;
  };

  void wait_for_none() {
    std::unique_lock lock(mutex_);
    none_.wait(lock, [&] { return live_ == 0; });
  }

 private:
  void add() {
    std::lock_guard lock(mutex_);
    live_++;
  }
  void remove() {
    std::lock_guard lock(mutex_);
    if (--live_ == 0) none_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable none_;
  size_t live_ = 0;
};

}  // namespace bessemer
