// How what a tenant was given is forgotten: routers and workers must do it alike.
#pragma once
#include <algorithm>
#include <chrono>
#include <cmath>

#include "common/clock.h"

namespace bessemer {

constexpr Duration kServiceHalfLife = std::chrono::seconds(30);

// What is left of 1 after `elapsed`; time never runs backwards.
inline double decay(Duration elapsed, Duration half_life = kServiceHalfLife) {
  using Seconds = std::chrono::duration<double>;
  return std::exp2(-std::max(Seconds(elapsed) / Seconds(half_life), 0.0));
}

}  // namespace bessemer
