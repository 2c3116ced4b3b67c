#pragma once
#include <string>
#include <vector>

#include "common/status.h"

namespace bessemer {

// What a host stands for where something is bound: 127.0.0.1 for "localhost", an address for itself.
std::string address_to_bind(const std::string& host);
// InvalidArgument: `host` is neither; `flag` is where it came from.
Status check_host(const std::string& host, const std::string& flag);

// `count` different TCP ports of `host` that were free a moment ago. A restarted worker comes back
// on the same one. `host` as above.
StatusOr<std::vector<int>> free_ports(const std::string& host, int count, const std::string& flag);

}  // namespace bessemer
