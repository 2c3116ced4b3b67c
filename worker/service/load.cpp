#include "worker/service/load.h"

#include <algorithm>
#include <cmath>

#include "worker/service/watch_interval.h"

namespace bessemer {
namespace {

// A quarter, but not the coming and going of a few.
bool moved_by_quarter(int64_t before, int64_t now, int64_t least = 2) {
  return std::abs(now - before) >= std::max(least, before / 4);
}
// Prompt tokens that make a difference to somebody: some milliseconds of a small model's CPU.
constexpr int64_t kFewTokens = 64;

uint32_t unsigned_of(int32_t value) {
  return static_cast<uint32_t>(value);
}

bool is_unchanged(const v1::Load& said, const EngineStats& now) {
  return said.engine_steps() == now.steps && said.running() == unsigned_of(now.running) &&
         said.waiting() == unsigned_of(now.waiting) &&
         said.backlog_tokens() == static_cast<uint64_t>(now.backlog_tokens);
}

}  // namespace

v1::Load to_load(const EngineStats& stats, uint64_t seq) {
  v1::Load load;
  load.set_seq(seq);
  load.set_running(unsigned_of(stats.running));
  load.set_waiting(unsigned_of(stats.waiting));
  load.set_backlog_tokens(static_cast<uint64_t>(stats.backlog_tokens));
  load.set_prefill_tok_s(static_cast<float>(stats.prefill_tokens_per_s));
  load.set_step_us(static_cast<uint32_t>(stats.step_us));
  load.set_decode_rows(unsigned_of(stats.decode_rows));
  load.set_decode_us(static_cast<uint32_t>(stats.decode_us));
  load.set_kv_free(unsigned_of(
      stats.kv_free + stats.kv_cached));  // a cached block is given up as soon as it is needed
  load.set_kv_cached(unsigned_of(stats.kv_cached));
  load.set_kv_total(unsigned_of(stats.kv_total));
  load.set_engine_steps(stats.steps);
  load.set_work_pending(stats.work_pending);
  return load;
}

bool is_large_change(const v1::Load& said, const EngineStats& now) {
  const int64_t free_before = said.kv_free(), free_now = now.kv_free + now.kv_cached;
  const bool was_idle = said.running() + said.waiting() == 0 && free_before == now.kv_total;
  const bool is_idle = now.running + now.waiting == 0 && free_now == now.kv_total;
  return (is_idle && !was_idle) || moved_by_quarter(said.running(), now.running) ||
         moved_by_quarter(said.waiting(), now.waiting) ||
         moved_by_quarter(static_cast<int64_t>(said.backlog_tokens()), now.backlog_tokens,
                          kFewTokens) ||
         (now.kv_total > 0 && std::abs(free_now - free_before) * 10 >= now.kv_total);
}

LoadWatch::LoadWatch(uint32_t interval_ms) {
  interval_ = watch_interval(interval_ms,
                             {kDefaultLoadIntervalMs, kLeastLoadIntervalMs, kMostLoadIntervalMs});
}

bool LoadWatch::due(const EngineStats& stats, TimePoint now) const {
  using std::chrono::milliseconds;
  const Duration since = now - last_;
  if (seq_ == 0) return true;
  if (since >= interval_)
    return since >= milliseconds(kQuietLoadIntervalMs) || !is_unchanged(said_, stats) ||
           is_large_change(said_, stats);  // KV that parked requests gave back takes no step
  const Duration least =
      std::max<Duration>(interval_ / kLargeChangeShare, milliseconds(kLeastLoadIntervalMs));
  return since >= least && is_large_change(said_, stats);
}

v1::Load LoadWatch::say(const EngineStats& stats, TimePoint now) {
  last_ = now;
  said_ = to_load(stats, ++seq_);
  return said_;
}

}  // namespace bessemer
