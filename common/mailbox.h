// The only way into a single-writer thread: a bounded queue of values, many producers, one
// consumer.
//
// Invariants
//   M1  size <= capacity + reserved; push() never blocks and never exceeds capacity.
//   M2  push_reserved() may use the reserved room as well: for what must never be refused (results,
//       cancels).
//   M3  After close() nothing enters; what is inside can still be drained.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

namespace bessemer {

template <typename T>
class Mailbox {
 public:
  Mailbox(size_t capacity, size_t reserved) : capacity_(capacity), reserved_(reserved) {}

  // False: full or closed. The value is then untouched.
  bool push(T&& value) { return push_within(std::move(value), capacity_); }
  bool push_reserved(T&& value) { return push_within(std::move(value), capacity_ + reserved_); }

  // Waits until something is inside or the mailbox is closed, then takes all of it, oldest first,
  // into `out` (cleared). False: closed and empty.
  bool wait_drain(std::vector<T>& out) {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [&] { return closed_ || !items_.empty(); });
    return take(out);
  }
  // The same with a time limit; true with an empty `out` when the time ran out.
  template <typename Deadline>
  bool wait_drain_until(std::vector<T>& out, Deadline deadline) {
    std::unique_lock lock(mutex_);
    if (!ready_.wait_until(lock, deadline, [&] { return closed_ || !items_.empty(); })) {
      out.clear();
      return true;
    }
    return take(out);
  }
  // Takes what is there without waiting.
  void drain(std::vector<T>& out) {
    std::lock_guard lock(mutex_);
    take(out);
  }

  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    ready_.notify_all();
  }
  size_t size() const {
    std::lock_guard lock(mutex_);
    return items_.size();
  }

 private:
  bool push_within(T&& value, size_t limit) {
    std::lock_guard lock(mutex_);
    if (closed_ || items_.size() >= limit) return false;
    items_.push_back(std::move(value));
    if (items_.size() == 1) ready_.notify_one();
    return true;
  }
  bool take(std::vector<T>& out) {
    out.clear();
    out.swap(items_);
    return !(closed_ && out.empty());
  }

  const size_t capacity_, reserved_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::vector<T> items_;
  bool closed_ = false;
};

}  // namespace bessemer
