// What a worker says of its load: the numbers, and when they are worth saying. Pure.
#pragma once
#include <cstdint>

#include "bessemer/v1/cluster.pb.h"
#include "common/clock.h"
#include "worker/engine/engine.h"

namespace bessemer {

constexpr int32_t kDefaultLoadIntervalMs = 250;
constexpr int32_t kLeastLoadIntervalMs = 20;
// Large changes shorten the interval to this share of it, and to kLeastLoadIntervalMs at most: a
// router bounds by the interval what it hears.
constexpr int32_t kLargeChangeShare = 5;
// While nothing at all changes, a report a second is enough.
constexpr int32_t kQuietLoadIntervalMs = 1000;
constexpr int32_t kMostLoadIntervalMs = 60'000;

v1::Load to_load(const EngineStats& stats, uint64_t seq);

// A router that placed by `said` would now place otherwise: sequences, queue or backlog moved by a
// quarter, free KV by a tenth of all, or the worker fell idle.
bool is_large_change(const v1::Load& said, const EngineStats& now);

// One WatchLoad stream: when its next report is due.
class LoadWatch {
 public:
  // interval_ms as the router asked; 0: the default.
  explicit LoadWatch(uint32_t interval_ms);

  // The first report is due at once, then one each interval, earlier on a large change, later when
  // nothing changes.
  bool due(const EngineStats& stats, TimePoint now) const;
  // Notes the report as said.
  v1::Load say(const EngineStats& stats, TimePoint now);

 private:
  Duration interval_;
  TimePoint last_{};
  v1::Load said_;
  uint64_t seq_ = 0;
};

}  // namespace bessemer
