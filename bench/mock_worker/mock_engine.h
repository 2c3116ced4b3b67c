// The mock's engine: a thread that takes a step every so often. A step computes prompt rows, oldest
// request first, and writes one token for each choice whose prompt is done. No gRPC in here; what
// comes of it goes to MockSinks.
//
// Invariants
//   ME1 What a choice writes follows from its request alone (W1), whatever the speed, the blocks,
//       preemption, and however often it was resumed or attached.
//   ME2 A Start is answered once: with Rejected, or with Admitted and in the end Done or Failed.
//       Cancelled choices end with END_CANCELLED. Faults that break this say so.
//   ME3 All that the engine says of its load is true, unless a fault lies.
//   ME4 Frames of one sink are sent in the order of what they tell: always under the engine's lock.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "bench/mock_worker/complaints.h"
#include "bench/mock_worker/mock_attempt.h"
#include "bench/mock_worker/mock_batches.h"
#include "bench/mock_worker/mock_faults.h"
#include "bench/mock_worker/mock_kv.h"
#include "worker/engine/engine.h"
#include "worker/service/epoch_fence.h"

namespace bessemer {

struct MockTiming {
  int64_t step_us = 10'000;
  double prefill_tok_s = 50'000;  // prompt rows of all requests together
};

struct MockLimits {
  int32_t kv_blocks = 8192;    // of 16 tokens, 1.2 MiB of accounting; 0: room without end, no cache
  int32_t max_waiting = 8192;  // requests without a place; beyond it Rejected{queue full}
  int32_t orphan_ms = 0;       // how long requests outlive their lane; 0: attach is not offered
};

class MockEngine {
 public:
  // Called on the engine's thread every kTick, and after every step, outside of its lock.
  using Tick = std::function<void(int64_t now_us)>;
  static constexpr auto kTick = std::chrono::milliseconds(50);

  // `model`, `faults` and `complaints` outlive the engine.
  MockEngine(const MockModel& model, uint64_t hash_domain, const MockTiming& timing,
             const MockLimits& limits, MockFaults& faults, Complaints& complaints, Tick tick);
  ~MockEngine();

  // ---- a lane's ----
  void add_lane(const std::shared_ptr<MockSink>& sink);
  void start(const std::shared_ptr<MockSink>& sink, const v1::Start& start,
             const std::vector<uint32_t>& ids);
  void cancel(const MockSink* sink, const v1::Cancel& cancel);
  void credit(const MockSink* sink, const v1::Credit& credit);
  void attach(const std::shared_ptr<MockSink>& sink, const v1::Attach& attach);
  void forget(const MockSink* sink);  // the lane is gone
  void drain();

  MockFaults& faults() { return faults_; }
  // As it reports it: a lie, where that is the fault.
  EngineStats stats() const;
  bool draining() const { return draining_; }
  const KvEventLog& kv_events() const { return kv_.space().events(); }
  // Attempts. Whoever sees that one has left sees what it counted for, too.
  int64_t live() const {
    std::lock_guard lock(mutex_);
    return live_.load();
  }
  int64_t started() const { return started_.load(); }
  int64_t cancelled() const { return cancelled_.load(); }  // by Cancel, not by a lost lane
  int64_t emitted() const { return emitted_.load(); }      // tokens
  int64_t resumed() const { return resumed_.load(); }      // Starts that go on where others ended
  int64_t attached() const { return attached_.load(); }

 private:
  using Attempts = std::list<MockAttempt>;

  // mock_engine.cpp: the thread
  void run();
  std::chrono::microseconds step_time() const;
  EngineStats true_stats() const;
  void sever_all();

  // mock_requests.cpp: requests come and go
  std::optional<v1::Rejected> refusal(const v1::Start& start, const MockAttempt& attempt);
  std::optional<v1::Rejected> claim(const MockAttempt& attempt);
  Attempts::iterator find(const MockSink* sink, uint64_t handle);
  void cancel_choices(Attempts::iterator at, const std::vector<uint32_t>& choices);
  Attempts::iterator erase(Attempts::iterator at);
  static void tell_all(const MockAttempt& attempt, const v1::Attach& from, v1::StepBatch& batch);

  // mock_step.cpp: what a step does
  void step(int64_t now_us);
  void expire_orphans(int64_t now_us);
  void place_waiting();
  void prefill(MockBatches& batches);
  bool advance(MockAttempt& attempt, v1::StepBatch& batch, int64_t now_us);
  void write(MockAttempt& attempt, uint32_t choice, v1::StepBatch& batch, int64_t now_us);
  bool make_room(MockChoice& choice);

  const MockModel& model_;
  const MockTiming timing_;
  const MockLimits limits_;
  MockFaults& faults_;
  Complaints& complaints_;
  const Tick tick_;
  EpochFence fence_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  MockKv kv_;
  Attempts attempts_;  // oldest first
  std::vector<std::weak_ptr<MockSink>> lanes_;
  uint64_t last_id_ = 0;
  double prefill_budget_ = 0;  // rows
  EngineStats totals_;         // what only ever grows
  std::atomic<bool> draining_{false};
  std::atomic<int64_t> live_{0}, started_{0}, cancelled_{0}, emitted_{0}, resumed_{0}, attached_{0};
  std::thread thread_;
};

}  // namespace bessemer
