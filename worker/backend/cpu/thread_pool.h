// A persistent pool for loops of a few microseconds.
//
// Invariants
//   T1  run() returns after every task has run once (or was skipped by abort), and not before.
//   T2  Nobody waits for a thread that has not begun a task: one that the system is slow to wake
//       finds the loop done. The caller alone can finish any loop, so a loaded machine slows the
//       pool but never stops it.
//   T3  A thread spins for kSpin at most, then sleeps in the kernel: an idle pool uses no CPU.
//   T4  Every thread works with the same floating-point mode (FloatMode), so which one ran a task
//       cannot show in the result.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "common/status.h"

namespace bessemer::cpu {

// Round to nearest even, subnormals kept, no traps: set on construction, the caller's mode restored
// on destruction.
class FloatMode {
 public:
  FloatMode();
  ~FloatMode();
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
  uint32_t saved_;
};

class ThreadPool {
 public:
  static constexpr int32_t kMaxThreads = 1024;   // a guard against absurd configuration
  static constexpr int32_t kMaxTasks = 1 << 20;  // of one loop: what its counter has room for

  // `threads` with the caller of run() counted in. ResourceExhausted: the system refuses to start
  // them.
  static StatusOr<std::unique_ptr<ThreadPool>> make(int32_t threads);
  ~ThreadPool();

  int32_t threads() const { return static_cast<int32_t>(workers_.size()) + 1; }

  // Calls function(task, thread) for each task in [0, tasks), in any order, on any thread in [0,
  // threads()); thread 0 is the caller. One caller at a time; never from within a task.
  template <typename Function>
  void run(int32_t tasks, const Function& function) {
    run_erased(
        tasks,
        [](const void* f, int32_t task, int32_t thread) {
          (*static_cast<const Function*>(f))(task, thread);
        },
        &function);
  }

  // From any thread: tasks that have not begun are skipped, in this and all later loops.
  void abort() { aborted_.store(true, std::memory_order_relaxed); }
  bool aborted() const { return aborted_.load(std::memory_order_relaxed); }

 private:
  using Call = void (*)(const void* function, int32_t task, int32_t thread);

  ThreadPool() = default;
  void run_erased(int32_t tasks, Call call, const void* function);
  void work(int32_t thread);
  bool run_tasks(int32_t thread);
  void await_tasks(uint32_t tasks);

  // Loop number (24 bits), tasks (20), next task (20). One fetch_add gives a thread its task and
  // says whether there is one in the very loop that the number belongs to; that loop's call_ and
  // function_ stay put until the task is done (T1).
  alignas(64) std::atomic<uint64_t> claim_ = 0;
  Call call_ = nullptr;
  const void* function_ = nullptr;
  alignas(64) std::atomic<uint32_t> finished_ = 0;
  alignas(64) std::atomic<uint32_t> wake_ = 0;  // changes with every loop and on shutdown
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> aborted_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace bessemer::cpu
