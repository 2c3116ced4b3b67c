// The worker's gRPC server: sessions, state, health and reflection on one port.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "common/clock.h"
#include "common/status.h"
#include "common/tls_files.h"
#include "worker/service/facts.h"
#include "worker/service/hub.h"

namespace bessemer {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int32_t port = 0;           // 0: any free one
  int32_t max_lanes = 256;    // sessions open at once
  int32_t max_watches = 128;  // WatchLoad and WatchKv streams open at once
  SessionLimits session;
  TlsFiles tls;  // see worker/service/server_credentials.h; empty: plain connections
};

class WorkerServer {
 public:
  // All references outlive the server.
  static std::unique_ptr<WorkerServer> make(const ServerOptions& options, const WorkerFacts& facts,
                                            Hub& hub, const Clock& clock);
  virtual ~WorkerServer() = default;  // stops

  // Once: serves from here on; health says SERVING. Apart from make(), because requests come before
  // it returns and their events must find the server. Unavailable names the address that could not
  // be bound.
  virtual Status start() = 0;
  virtual int32_t port() const = 0;
  // After an engine pass, on its thread.
  virtual void on_step() = 0;
  // Health turns NOT_SERVING and the routers are told; what runs goes on.
  virtual void drain(uint32_t deadline_ms) = 0;
  // Ends the lanes, those that do not end within `grace` by force. Idempotent.
  virtual void stop(Duration grace) = 0;
};

}  // namespace bessemer
