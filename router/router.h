// One router process: the HTTP front, the sessions to the workers, and what lies between.
#pragma once
#include <cstdint>
#include <memory>

#include "common/clock.h"
#include "common/status.h"
#include "router/config.h"

namespace bessemer {

// A running router; several may live in one process (tests do that).
class Router {
 public:
  // Serves from here on. Errors: a value of the configuration, or the address cannot be bound.
  static StatusOr<std::unique_ptr<Router>> start(const RouterConfig& config);
  // Stops at once; call begin_drain() first to be polite.
  virtual ~Router() = default;

  virtual uint16_t port() const = 0;
  virtual uint16_t grpc_port() const = 0;  // 0: gRPC is off
  // /readyz fails, connections close behind their answers, nothing new is accepted.
  virtual void begin_drain() = 0;
  // Requests without a complete answer.
  virtual size_t live_requests() const = 0;
  // Gives every unanswered request its terminal error.
  virtual void abort_requests() = 0;
  // The access log's file has been moved away: writes to a new one.
  virtual void reopen_logs() = 0;
};

// Binds, announces the port (RouterConfig::ready_fd), serves until SIGTERM or SIGINT, then drains:
// no new requests, running streams may finish within drain_ms; a second signal stops at once.
// SIGHUP opens the access log anew. Must be called from the main thread before any other exists. Returns the process's exit code: 0 after
// a stop, 1 when the router could not start (the reason is logged).
int run_router(const RouterConfig& config);

}  // namespace bessemer
