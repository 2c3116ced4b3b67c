// What became of one request.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "common/clock.h"

namespace bessemer::bench {

// Why a request has no whole answer. Every request that was due has an Outcome, and every Outcome
// without an answer has one of these.
enum class Failure : uint8_t {
  none,
  connect,    // no connection
  lost,       // the connection broke before the answer's end
  timeout,    // not whole in --timeout-s
  status,     // an HTTP status other than 200
  stream,     // an error event within the stream
  truncated,  // the answer ended without its [DONE]
  malformed,  // not HTTP, no JSON, an event without end
  overrun,    // never sent: as many requests as this client may have were in flight
  skipped,    // never sent: an earlier turn of its conversation failed
};
const char* name_of(Failure failure);

// Of what a server said about a failure: enough for a diagnosis, not its whole page.
constexpr size_t kMaxMessageBytes = 400;

struct Outcome {
  Failure failure = Failure::none;
  int status = 0;       // HTTP; 0: none came
  std::string message;  // of a failure, at most kMaxMessageBytes

  int turn = 0;          // of its conversation, from 0
  int asked_tokens = 0;  // of output
  bool counted = false;  // the server said how many tokens there were; else one for each text
  int64_t prompt_tokens = 0, cached_tokens = 0, output_tokens = 0;

  // `due`: when a user would have pressed the key: at the arrival in an open loop, when the slot
  // was free in a closed one. Latencies count from here, so that a client or a server that falls
  // behind cannot hide it.
  TimePoint due{}, sent{}, first_text{}, end{};
  std::vector<float> gaps_ms;  // between texts that arrived one after the other
};

inline double ms_between(TimePoint from, TimePoint to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

}  // namespace bessemer::bench
