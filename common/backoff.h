// Waits between tries.
#pragma once
#include <optional>

#include "common/clock.h"
#include "common/random.h"

namespace bessemer {

// Doubles from `first` to `most`; each wait is drawn from the upper half of its step, so that many
// routers that lost the same server do not come back at once.
class Backoff {
 public:
  Backoff(Duration first, Duration most, uint64_t seed)
      : first_(first), most_(most), step_(first), random_(seed) {}
  // `asked`: what the other side wishes (Retry-After); heeded up to `most`.
  Duration next(std::optional<Duration> asked = {});
  void reset() { step_ = first_; }

 private:
  const Duration first_, most_;
  Duration step_;
  Random random_;
};

}  // namespace bessemer
