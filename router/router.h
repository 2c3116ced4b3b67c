// One router process: the HTTP front, the sessions to the workers, and what lies between.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/clock.h"
#include "common/status.h"
#include "router/cluster/cluster_view.h"
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
  // Takes over what may change while it runs: workers, policy, the limits and time-outs of the front,
  // cors_origins, max_waiting, max_wait_ms, request_timeout_ms. The rest of `config` is not looked
  // at. An error changes nothing.
  virtual Status reload(const RouterConfig& config) = 0;
  // Reads tls_cert and tls_key again, for connections to come. An error changes nothing.
  virtual Status reload_certificate() = 0;
  // /readyz fails and connections close behind their answers; everybody is served as before.
  virtual void announce_drain() = 0;
  // The same, and idle connections close and nothing new is accepted.
  virtual void begin_drain() = 0;
  // What is known of the workers.
  virtual ClusterViewPtr view() const = 0;
  // Requests without a complete answer.
  virtual size_t live_requests() const = 0;
  // Gives every unanswered request its terminal error.
  virtual void abort_requests() = 0;
  // The access log's file has been moved away: writes to a new one.
  virtual void reopen_logs() = 0;
};

// Where a running router's configuration comes from when it is read again.
struct ConfigSource {
  std::string path;  // of the file; empty: there is none
  // The settings that are in force from now on, checked; fixed ones as they were. The error names
  // file, line and remedy.
  std::function<StatusOr<RouterConfig>()> read;
};

// Binds, announces the port (RouterConfig::ready_fd, ready_workers), serves until SIGTERM or SIGINT, then drains:
// no new requests, running streams may finish within drain_ms; a second signal stops at once. SIGHUP,
// which opens the access log anew too, or a file that has changed, makes it read configuration and certificate again: what cannot be used
// is refused with its reason, and what was in force stays. Must be called from the main thread before
// any other exists. Returns the process's exit code: 0 after a stop, 1 when the router could not
// start (the reason is logged).
int run_router(RouterConfig config, const ConfigSource& source = {});

}  // namespace bessemer
