// Threads for what would hold up a core: parsing and tokenising long inputs. Bounded; when full,
// the request is refused.
#pragma once
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include <absl/functional/any_invocable.h>

namespace bessemer {

class CpuPool {
 public:
  using Task = absl::AnyInvocable<void()>;
  CpuPool(size_t threads, size_t max_queued);
  // Drops what has not begun, waits for what has.
  ~CpuPool();

  // False: the queue is full, or the pool ends; the task is dropped.
  bool submit(Task task);

 private:
  void work();

  const size_t max_queued_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Task> queue_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace bessemer
