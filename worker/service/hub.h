// Between the engine's one thread and the many lanes: who gets which event, and who must be
// cancelled when a lane is lost.
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "worker/engine/engine.h"

namespace bessemer {

// Takes the events of its attempts, one call per engine pass. Must not block: it runs on the engine
// thread.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void deliver(StepId step, std::span<const EngineEvent> events) = 0;
};

// Thread-safe. No lock of the hub is held while it calls a sink or the engine.
class Hub {
 public:
  // Before the first call of any other but deliver(); `engine` outlives the hub's use.
  void bind(Engine& engine) { engine_ = &engine; }

  // The engine's sink: sorts the events by lane. Those of attempts whose lane is gone are dropped.
  void deliver(StepId step, std::vector<EngineEvent> events);

  AttemptId new_attempt() {
    return AttemptId{next_attempt_.fetch_add(1, std::memory_order_relaxed)};
  }
  // False: the engine takes no more; no event follows.
  bool submit(Request request, std::shared_ptr<EventSink> sink);
  void cancel(AttemptId attempt, std::span<const int32_t> choices) {
    engine_->cancel(attempt, choices);
  }
  void credit(AttemptId attempt, int32_t send_until) { engine_->credit(attempt, send_until); }
  EngineStats stats() const { return engine_->stats(); }
  const KvEventLog& kv_events() const { return engine_->kv_events(); }

  void drain();
  bool draining() const { return draining_.load(std::memory_order_acquire); }

  // These attempts lost their lane; on_tick cancels them at `until` unless they have ended by then.
  void orphan(const std::vector<AttemptId>& attempts, TimePoint until);
  void on_tick(TimePoint now);
  // Attempts that were submitted and have not ended.
  size_t alive() const;

 private:
  Engine* engine_ = nullptr;
  std::atomic<uint64_t> next_attempt_{1};
  std::atomic<bool> draining_{false};
  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, std::shared_ptr<EventSink>>
      routes_;                                   // by AttemptId; null: an orphan
  std::multimap<TimePoint, AttemptId> orphans_;  // by the time of their cancellation
};

}  // namespace bessemer
