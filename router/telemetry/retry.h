// How long to wait before a collector is asked again. Pure.
#pragma once
#include <algorithm>
#include <optional>
#include <utility>

#include "common/clock.h"
#include "common/random.h"

namespace bessemer {

// OTLP/HTTP's retryable statuses; everything else that is not 2xx is final.
inline bool otlp_retryable(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

// Doubles from `first` to `most`; each wait is drawn from its upper half, so that many routers do
// not come back together.
class RetryDelay {
 public:
  RetryDelay(Duration first, Duration most) : first_(first), most_(most), next_(first) {}

  // `asked`: what the other side wishes (Retry-After); heeded up to `most`.
  Duration next(std::optional<Duration> asked, Random& random) {
    const Duration step = std::exchange(next_, std::min(next_ * 2, most_));
    if (asked) return std::clamp(*asked, Duration::zero(), most_);
    return step / 2 +
           Duration(static_cast<int64_t>(random.uniform() * static_cast<double>(step.count() / 2)));
  }
  void reset() { next_ = first_; }

 private:
  Duration first_, most_, next_;
};

}  // namespace bessemer
