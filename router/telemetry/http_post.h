// One POST to a collector, from its own thread.
#pragma once
#include <optional>
#include <string>

#include "common/clock.h"
#include "common/server_address.h"
#include "common/status.h"

namespace bessemer {

struct PostReply {
  int status = 0;
  std::string body;                     // of at most 64 KiB
  std::optional<Duration> retry_after;  // where it is a number of seconds
};

// Waits for the answer. Unavailable: no connection, no answer within `limit`, or one that is no
// HTTP.
StatusOr<PostReply> post_json(const ServerAddress& server, const std::string& target,
                              const std::string& body, Duration limit);

}  // namespace bessemer
