#include "router/endpoints/stats.h"

#include <algorithm>

#include "common/check.h"

namespace bessemer {

void CoreStats::count_request(size_t endpoint, int status) {
  CHECK(endpoint < kMaxEndpoints);
  const auto found = std::find(kStatuses.begin(), kStatuses.end(), status);
  const int row = found == kStatuses.end() ? 500 : status;
  requests[endpoint][static_cast<size_t>(std::find(kStatuses.begin(), kStatuses.end(), row) -
                                         kStatuses.begin())]
      .add();
}

}  // namespace bessemer
