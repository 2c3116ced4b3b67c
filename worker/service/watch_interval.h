// How often a watch reports.
#pragma once
#include <algorithm>
#include <cstdint>

#include "common/clock.h"

namespace bessemer {

struct WatchIntervals {
  int32_t standard_ms = 0, least_ms = 0, most_ms = 0;
};

// As the router asked; 0: the standard one.
inline Duration watch_interval(uint32_t asked_ms, const WatchIntervals& intervals) {
  const int64_t ms = asked_ms == 0 ? intervals.standard_ms : int64_t{asked_ms};
  return std::chrono::milliseconds(std::clamp<int64_t>(ms, intervals.least_ms, intervals.most_ms));
}

}  // namespace bessemer
