// A worker as the routers of other projects want one: OpenAI's API over HTTP, without a model. It
// does what the mock worker of our own protocol does with MockOutput::timed, so that routers of
// either kind can be measured side by side.
#pragma once
#include <cstdint>
#include <memory>

#include "common/clock.h"
#include "common/status.h"

namespace bessemer::bench {

// POST /v1/completions and /v1/chat/completions, streamed or whole: every step each answer that
// runs gets one token, "12345,": the microsecond of its emission, modulo kTimedWindowUs. GET: what
// such routers ask a worker before they trust it (/health, /v1/models, ...).
class OpenAiWorker {
 public:
  // On a free port of 127.0.0.1, from here on.
  static StatusOr<std::unique_ptr<OpenAiWorker>> start(Duration step);
  virtual ~OpenAiWorker() = default;
  virtual uint16_t port() const = 0;
};

}  // namespace bessemer::bench
