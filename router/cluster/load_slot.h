// The load of one worker as this router knows it: a fixed slot, written by whoever hears of it,
// read without a lock by every placement.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <type_traits>

#include "bessemer/v1/engine.pb.h"

namespace bessemer {

// A value under a sequence lock: readers never wait for each other and never block the writer; the
// words are atomics, so that a torn read is not a data race but a retry. Boehm, "Can seqlocks get
// along with programming language memory models?", 2012.
template <typename T>
class SeqLock {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  void store(const T& value) {
    std::array<uint64_t, kWords> words{};
    std::memcpy(words.data(), &value, sizeof(T));
    std::lock_guard lock(writers_);
    const uint64_t sequence = sequence_.load(std::memory_order_relaxed);
    sequence_.store(sequence + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    for (size_t i = 0; i < kWords; i++) words_[i].store(words[i], std::memory_order_relaxed);
    sequence_.store(sequence + 2, std::memory_order_release);
  }

  T load() const {
    std::array<uint64_t, kWords> words;
    while (true) {
      const uint64_t before = sequence_.load(std::memory_order_acquire);
      for (size_t i = 0; i < kWords; i++) words[i] = words_[i].load(std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_acquire);
      if (before % 2 == 0 && sequence_.load(std::memory_order_relaxed) == before) break;
    }
    T value;
    std::memcpy(&value, words.data(), sizeof(T));
    return value;
  }

 private:
  static constexpr size_t kWords = (sizeof(T) + 7) / 8;
  std::mutex writers_;
  std::atomic<uint64_t> sequence_{0};
  std::array<std::atomic<uint64_t>, kWords> words_{};
};

// What the worker last said; all zero before it has.
struct LoadReading {
  uint32_t running = 0, waiting = 0;  // sequences
  uint64_t backlog_tokens = 0;        // prompt tokens admitted and not computed
  float prefill_tok_s = 0;
  uint32_t step_us = 0;
  float step_slope_s = 0;              // of step time by sequences (StepSlope); 0: not known
  uint32_t kv_free = 0, kv_total = 0;  // blocks
  uint32_t kv_cached = 0;              // of kv_free: kept by the prefix cache until needed
  uint64_t tokens_generated = 0, tokens_prefilled = 0, requests_finished = 0, resident_bytes = 0;
  int64_t own_then = 0;  // LoadSlot::own when it said so
};

// What a report says of its pool; the rest stays.
inline void read_load(const v1::Load& load, LoadReading& reading) {
  reading.running = load.running();
  reading.waiting = load.waiting();
  reading.backlog_tokens = load.backlog_tokens();
  reading.prefill_tok_s = load.prefill_tok_s();
  reading.step_us = load.step_us();
  reading.kv_free = load.kv_free();
  reading.kv_total = load.kv_total();
  reading.kv_cached = load.kv_cached();
}

struct LoadSlot {
  SeqLock<LoadReading> reading;
  std::atomic<bool> has_room{true};  // the worker grants more, or does not speak of it
  std::atomic<int64_t> own{0};       // choices of this router that the worker has now
  // Prompt tokens admitted and not computed, as the worker said last: with a report, or when it
  // admitted something of ours.
  std::atomic<int64_t> said_backlog{0};
  // Prompt tokens that this router has sent there to be computed and that no such number contains
  // yet, since their attempts are not admitted. They count at once: else all that is placed between
  // two reports would go to the same worker.
  std::atomic<int64_t> unadmitted{0};

  // Above 0: a suspect (LossRecord) is being tried there, and nothing else is placed beside it.
  std::atomic<int32_t> exclusive{0};

  // Sequences on the worker: other routers' as last reported, and our own as of now.
  int64_t sequences(const LoadReading& last) const {
    const int64_t reported = int64_t{last.running} + last.waiting;
    const int64_t others = reported > last.own_then ? reported - last.own_then : 0;
    return others + own.load(std::memory_order_relaxed);
  }
  // Prompt tokens that are computed before those of a new request.
  int64_t backlog() const {
    return said_backlog.load(std::memory_order_relaxed) +
           unadmitted.load(std::memory_order_relaxed);
  }
};

}  // namespace bessemer
