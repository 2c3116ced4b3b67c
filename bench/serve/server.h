// A server to be measured: one that runs somewhere, or one that this client starts and stops.
#pragma once
#include <optional>
#include <string>

#include "bench/common/process.h"
#include "bench/serve/outcome.h"
#include "bench/serve/target.h"

namespace bessemer::bench {

// A server by one of two names, and how to speak to it.
struct Candidate {
  std::string label;    // "A" or "B"
  std::string url;      // of one that runs
  std::string command;  // of one to be started; {port} in it is replaced by a free port
  Target target;        // all but the address
};

struct Server {
  std::string label, where;
  Target target;
  std::string software;            // name and version, as far as it tells
  std::optional<Program> program;  // of a started one
  std::string log;                 // of a started one: where its output goes; kept if it fails
  double start_ms = 0;             // of a started one: from the process's start to a first token
};

// Starts or finds the server, waits until it has answered with a token, and asks who it is. An
// empty model becomes the first that the server lists. Unavailable, NotFound or InvalidArgument,
// with the remedy.
StatusOr<Server> open_server(const Candidate& candidate, Duration start_timeout);

// Stops a started server; its log is of no interest any more. One that is dropped without this is
// stopped too, and its log stays.
void close_server(Server server);

// One prompt, one answer.
StatusOr<Outcome> ask_once(const Target& target, const std::string& prompt, int output_tokens,
                           Duration timeout);

}  // namespace bessemer::bench
