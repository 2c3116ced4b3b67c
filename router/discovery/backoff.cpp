#include "router/discovery/backoff.h"

#include <algorithm>

namespace bessemer {

Duration Backoff::next() {
  const int64_t step = step_.count();
  step_ = std::min(step_ * 2, most_);
  return Duration(random_.between(step / 2, step));
}

}  // namespace bessemer
