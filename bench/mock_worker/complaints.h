// What routers did wrong, as a mock worker saw it: a test reads it at the end and expects nothing.
#pragma once
#include <cstddef>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace bessemer {

// Thread-safe.
class Complaints {
 public:
  static constexpr size_t kKept = 100;  // the rest is only counted

  void add(std::string what) {
    std::lock_guard lock(mutex_);
    if (++count_ <= kKept) kept_.push_back(std::move(what));
  }
  size_t count() const {
    std::lock_guard lock(mutex_);
    return count_;
  }
  std::vector<std::string> kept() const {
    std::lock_guard lock(mutex_);
    return kept_;
  }

 private:
  mutable std::mutex mutex_;
  size_t count_ = 0;
  std::vector<std::string> kept_;
};

}  // namespace bessemer
