// What a tenant was given, and how it is forgotten: routers and workers must do it alike.
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

// Tokens as a share of the machine, tokens as they are billed, and requests (TenantReport's columns).
struct TenantGiven {
  double service = 0, tokens = 0, requests = 0;

  TenantGiven& operator+=(const TenantGiven& more) {
    service += more.service;
    tokens += more.tokens;
    requests += more.requests;
    return *this;
  }
  TenantGiven operator*(double by) const { return {service * by, tokens * by, requests * by}; }
};

// A sum that halves each `half_life`: `given` as it was at `at`.
struct FadingSum {
  TenantGiven given;
  TimePoint at{};
  Duration half_life = kServiceHalfLife;

  TenantGiven now(TimePoint when) const { return given * decay(when - at, half_life); }
  void add(const TenantGiven& more, TimePoint when) {
    given = now(when);
    given += more;
    at = when;
  }
};

}  // namespace bessemer
