#include "common/backoff.h"

#include <algorithm>

namespace bessemer {

Duration Backoff::next(std::optional<Duration> asked) {
  const int64_t step = step_.count();
  step_ = std::min(step_ * 2, most_);
  if (asked) return std::clamp(*asked, Duration::zero(), most_);
  return Duration(random_.between(step / 2, step));
}

}  // namespace bessemer
