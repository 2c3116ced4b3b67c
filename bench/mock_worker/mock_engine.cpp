#include "bench/mock_worker/mock_engine.h"

#include <algorithm>
#include <chrono>

namespace bessemer {
namespace {

using MockClock = std::chrono::steady_clock;
constexpr auto kLeastTick = std::chrono::milliseconds(5);  // steps may follow each other faster

int64_t to_us(MockClock::time_point time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}

void lie(MockLie what, EngineStats& stats) {
  if (what == MockLie::none) return;
  const bool idle = what == MockLie::idle;
  stats.running = idle ? 0 : 1000;
  stats.waiting = idle ? 0 : 1000;
  stats.backlog_tokens = idle ? 0 : 10'000'000;
  stats.kv_free = idle ? stats.kv_total : 0;
  stats.kv_cached = 0;
  stats.kv_held = stats.kv_total - stats.kv_free;
}

}  // namespace

MockEngine::MockEngine(const MockModel& model, uint64_t hash_domain, const MockTiming& timing,
                       const MockLimits& limits, MockFaults& faults, Complaints& complaints,
                       Tick tick)
    : model_(model),
      timing_(timing),
      limits_(limits),
      faults_(faults),
      complaints_(complaints),
      tick_(std::move(tick)),
      kv_(limits.kv_blocks, hash_domain) {
  thread_ = std::thread([this] { run(); });
}

MockEngine::~MockEngine() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void MockEngine::add_lane(const std::shared_ptr<MockSink>& sink) {
  std::lock_guard lock(mutex_);
  std::erase_if(lanes_, [](const auto& lane) { return lane.expired(); });
  lanes_.push_back(sink);
}

std::chrono::microseconds MockEngine::step_time() const {
  return std::chrono::microseconds(timing_.step_us * faults_.slow);
}

void MockEngine::run() {
  auto step_at = MockClock::now(), ticked = step_at;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const bool idle = attempts_.empty();
    const auto tick_at = MockClock::now() + kTick;
    wake_.wait_until(lock, idle ? tick_at : std::min(step_at, tick_at),
                     [&] { return stopping_ || (idle && !attempts_.empty()); });
    const auto now = MockClock::now();
    if (idle) {
      step_at = now + step_time();
    } else if (now >= step_at) {
      if (!faults_.hang && !faults_.frozen) step(to_us(now));
      step_at = std::max(step_at + step_time(), now);  // no burst after a stall
    }
    const int64_t limit = faults_.sever_after_tokens.load();
    const bool sever = limit >= 0 && emitted_ >= limit;
    if (now - ticked < kLeastTick && !sever) continue;
    ticked = now;
    lock.unlock();
    if (sever) sever_all();
    tick_(to_us(now));
    lock.lock();
  }
}

void MockEngine::sever_all() {
  faults_.sever_after_tokens = -1;
  std::vector<std::weak_ptr<MockSink>> lanes;
  {
    std::lock_guard lock(mutex_);
    lanes.swap(lanes_);
  }
  for (const auto& weak : lanes) {
    if (const auto lane = weak.lock()) lane->sever();
  }
}

EngineStats MockEngine::stats() const {
  EngineStats stats;
  {
    std::lock_guard lock(mutex_);
    stats = true_stats();
  }
  lie(faults_.lie, stats);
  return stats;
}

EngineStats MockEngine::true_stats() const {
  EngineStats stats = totals_;
  for (const MockAttempt& attempt : attempts_) {
    if (attempt.finished()) continue;  // an orphan that waits to be asked
    bool placed = false;
    for (const MockChoice& choice : attempt.choices) {
      if (!choice.open) continue;
      placed = placed || choice.placed;
      stats.backlog_tokens +=
          choice.placed ? choice.prefill_left : static_cast<int64_t>(choice.history.size());
      stats.work_pending = stats.work_pending || !choice.writes() || attempt.may_write(choice);
    }
    stats.running += placed ? 1 : 0;
    stats.waiting += placed ? 0 : 1;
  }
  stats.step_us = timing_.step_us * faults_.slow;
  stats.decode_rows = stats.running;
  stats.decode_us = stats.step_us;
  stats.prefill_tokens_per_s = timing_.prefill_tok_s / faults_.slow;
  stats.kv_total = kv_.space().total();
  stats.kv_free = kv_.space().free_count();
  stats.kv_cached = kv_.space().cached_count();
  stats.kv_held = kv_.space().held_count();
  return stats;
}

}  // namespace bessemer
