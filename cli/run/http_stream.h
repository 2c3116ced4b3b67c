// One HTTP exchange with a server whose answer is read piece by piece, and that ctrl-C may end
// without ending the program.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "cli/run/interrupts.h"
#include "common/server_address.h"
#include "common/status.h"

namespace bessemer {

struct HttpAnswer {
  int status = 0;
  std::string body;          // of an answer whose status is not 200; else empty
  bool interrupted = false;  // ctrl-C: the connection was closed in mid-answer, which cancels the
                             // work at the server
};

// `method` "GET" or "POST". `on_data` gets the body of a 200 answer as it arrives. Unavailable: no
// connection, with the remedy. An interrupt that comes in `interrupts` ends the exchange; without
// it ctrl-C does what it did before.
StatusOr<HttpAnswer> http_exchange(const ServerAddress& server, const std::string& method,
                                   const std::string& target, const std::string& body,
                                   const std::function<void(std::string_view)>& on_data,
                                   const Interrupts* interrupts = nullptr);

}  // namespace bessemer
