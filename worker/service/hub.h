// Between the engine's one thread and the many lanes: who gets which event.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "worker/engine/engine.h"

namespace bessemer {

// Takes the events of its attempts, one call per engine pass. Must not block: it runs on the engine
// thread.
class EventSink {
 public:
  virtual ~EventSink() = default;
  // Gives back the events of attempts that it has handed on (and rerouted) since the pass began.
  [[nodiscard]] virtual std::vector<EngineEvent> deliver(StepId step,
                                                         std::span<const EngineEvent> events) = 0;
  // Another lane will take this attempt up: whoever has it makes it an orphan. Not on the engine
  // thread, and with no lane's lock held.
  virtual void surrender(AttemptId attempt) { (void)attempt; }
};

// Thread-safe. No lock of the hub is held while it calls a sink or the engine.
class Hub {
 public:
  // Before the first call of any other but deliver(); `engine` outlives the hub's use.
  void bind(Engine& engine) { engine_ = &engine; }

  // The engine's sink: sorts the events by lane. Those of unknown attempts are dropped.
  void deliver(StepId step, std::vector<EngineEvent> events);
  // From the next pass on this attempt's events go to `sink`, or nowhere. What the present pass has
  // sorted already still comes to the sink before, which gives it back, and then to the new one:
  // all on the engine thread, so that order is kept.
  void reroute(AttemptId attempt, std::shared_ptr<EventSink> sink);

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

  // Who has this attempt now, if it has not ended.
  std::shared_ptr<EventSink> sink_of(AttemptId attempt) const;
  // Attempts that were submitted and have not ended.
  size_t alive() const;

 private:
  // What is given back.
  std::vector<EngineEvent> deliver_once(StepId step, std::vector<EngineEvent> events);

  Engine* engine_ = nullptr;
  std::atomic<uint64_t> next_attempt_{1};
  std::atomic<bool> draining_{false};
  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, std::shared_ptr<EventSink>> routes_;  // by AttemptId; null: nobody's
};

}  // namespace bessemer
