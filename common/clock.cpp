#include "common/clock.h"

#include <ctime>

namespace bessemer {

int64_t local_calendar_seconds() {
  const time_t now = std::time(nullptr);
  tm local{};
  localtime_r(&now, &local);
  return now + local.tm_gmtoff;
}

}  // namespace bessemer
