#pragma once
#include <string>
#include <vector>

#include "common/status.h"

namespace bessemer {

// `count` different TCP ports of `host` that were free a moment ago. A restarted worker comes back
// on the same one. `host` is an IPv4 or IPv6 address; errors name `flag`, where it came from.
StatusOr<std::vector<int>> free_ports(const std::string& host, int count, const std::string& flag);

}  // namespace bessemer
