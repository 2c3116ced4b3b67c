// Single requests beside the load: what a server says of itself, tokens counted, readiness.
#pragma once
#include <string>

#include "bench/serve/target.h"
#include "common/clock.h"
#include "common/status.h"

namespace bessemer::bench {

struct Fetched {
  int status = 0;
  std::string body;
};

// GET, or POST where `body` is not empty, on a connection of its own. Unavailable: no answer.
StatusOr<Fetched> fetch(const Target& target, const std::string& path, const std::string& body,
                        Duration timeout);

}  // namespace bessemer::bench
