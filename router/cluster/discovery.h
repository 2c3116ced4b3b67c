// Where workers are: for now a list that does not change while the router runs.
#pragma once
#include <string>
#include <vector>

#include "common/status.h"

namespace bessemer {

constexpr size_t kMaxWorkers =
    1024;  // each costs lanes, a load slot and a share of every placement

// Checks "host:port" of each; the error names the first that is none, or that occurs twice.
StatusOr<std::vector<std::string>> static_workers(const std::vector<std::string>& addresses);

}  // namespace bessemer
