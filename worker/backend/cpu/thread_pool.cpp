#include "worker/backend/cpu/thread_pool.h"

#include <chrono>
#include <system_error>

#include <pthread.h>
#include <xmmintrin.h>

#include "common/check.h"

namespace bessemer::cpu {
namespace {

// Longer than the serial work between two loops of one forward pass (a norm or a few rows of RoPE:
// microseconds), shorter than what a thread that must not run would notice.
constexpr std::chrono::microseconds kSpin{30};
constexpr int kPausesPerLook = 32;  // about a microsecond between looks at the clock

constexpr uint64_t kTaskBits = 20;
constexpr uint64_t kTaskMask = (uint64_t{1} << kTaskBits) - 1;
static_assert(ThreadPool::kMaxTasks <= 1 << kTaskBits);

// MXCSR at reset: nearest even, all exceptions masked, FTZ and DAZ off.
constexpr uint32_t kFloatMode = 0x1f80;

// True as soon as `done` is, false after kSpin.
template <typename Done>
bool spin_until(const Done& done) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < kPausesPerLook; ++i) {
      if (done()) return true;
      _mm_pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

}  // namespace

FloatMode::FloatMode() : saved_(_mm_getcsr()) {
  _mm_setcsr(kFloatMode);
}
FloatMode::~FloatMode() {
  _mm_setcsr(saved_);
}

StatusOr<std::unique_ptr<ThreadPool>> ThreadPool::make(int32_t threads) {
  if (threads < 1 || threads > kMaxThreads) {
    return absl::InvalidArgumentError("a thread pool takes 1 to " + std::to_string(kMaxThreads) +
                                      " threads, not " + std::to_string(threads));
  }
  std::unique_ptr<ThreadPool> pool(new ThreadPool());
  for (int32_t i = 1; i < threads; ++i) {
    try {
      pool->workers_.emplace_back([self = pool.get(), i] { self->work(i); });
    } catch (const std::system_error& error) {
      return absl::ResourceExhaustedError("cannot start thread " + std::to_string(i) + " of " +
                                          std::to_string(threads) + ": " + error.what() +
                                          "; use fewer threads");
    }
  }
  return pool;
}

ThreadPool::~ThreadPool() {
  stopping_.store(true);
  wake_.fetch_add(1);
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_erased(int32_t tasks, Call call, const void* function) {
  // Every thread may claim once in vain; that must not run over into the next field.
  CHECK(tasks >= 0 && tasks < kMaxTasks - kMaxThreads);
  if (tasks <= 1 || workers_.empty()) {
    for (int32_t task = 0; task < tasks && !aborted(); ++task) call(function, task, 0);
    return;
  }
  call_ = call;
  function_ = function;
  finished_.store(0, std::memory_order_relaxed);
  const uint64_t loop = (claim_.load(std::memory_order_relaxed) >> (2 * kTaskBits)) + 1;
  claim_.store(loop << (2 * kTaskBits) | static_cast<uint64_t>(tasks) << kTaskBits,
               std::memory_order_release);
  wake_.fetch_add(1);
  wake_.notify_all();
  run_tasks(0);
  await_tasks(static_cast<uint32_t>(tasks));
}

// Claims and runs tasks until there is none left; false: there was none at all.
bool ThreadPool::run_tasks(int32_t thread) {
  bool any = false;
  for (;;) {
    const uint64_t claim = claim_.fetch_add(1, std::memory_order_acq_rel);
    const auto task = static_cast<int32_t>(claim & kTaskMask);
    const auto tasks = static_cast<uint32_t>(claim >> kTaskBits & kTaskMask);
    if (static_cast<uint32_t>(task) >= tasks) return any;
    any = true;
    if (!aborted()) call_(function_, task, thread);
    if (finished_.fetch_add(1, std::memory_order_acq_rel) + 1 == tasks) finished_.notify_one();
  }
}

void ThreadPool::await_tasks(uint32_t tasks) {
  const auto done = [&] { return finished_.load(std::memory_order_acquire) == tasks; };
  if (spin_until(done)) return;
  for (uint32_t seen; (seen = finished_.load(std::memory_order_acquire)) != tasks;) {
    finished_.wait(seen, std::memory_order_acquire);
  }
}

void ThreadPool::work(int32_t thread) {
  pthread_setname_np(pthread_self(), "cpu-pool");
  const FloatMode mode;
  uint32_t seen = 0;
  for (;;) {
    const auto changed = [&] { return wake_.load(std::memory_order_acquire) != seen; };
    if (!spin_until(changed)) wake_.wait(seen, std::memory_order_acquire);
    seen = wake_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_acquire)) return;
    run_tasks(thread);
  }
}

}  // namespace bessemer::cpu
