// The gRPC front: bessemer.v1.Inference on a listener of its own, with grpc.health.v1 and
// reflection. Beside upstream's, the only folder that knows gRPC.
//
// A gRPC call is an HTTP exchange: a POST to /package.Service/Method whose body is one message,
// metadata for headers, messages for frames, the status in the trailers. So it comes to the
// endpoints as an Exchange on a core, and everything behind is what the HTTP front has too.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "common/tls_files.h"
#include "router/http/core.h"
#include "router/http/exchange.h"
#include "router/http/limits.h"

namespace bessemer {

struct RpcServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;  // 0: any free one
  HttpLimits limits;  // what is said of connections there, is said of calls here
  TlsFiles tls;       // the front's certificate; empty: plain. gRPC reads it again when it changes
};

class RpcServer {
 public:
  // The cores run until stop() has returned, and no longer when the server is destroyed.
  static std::unique_ptr<RpcServer> create(const RpcServerOptions& options,
                                           const std::vector<Core*>& cores);
  virtual ~RpcServer() = default;  // stops

  // Serves from here on. Unavailable names the address that cannot be bound.
  virtual Status start(RequestHandler handle, ErrorRenderer render_error) = 0;
  virtual uint16_t port() const = 0;
  // Health turns NOT_SERVING; nothing else changes yet.
  virtual void announce_drain() = 0;
  // Health is NOT_SERVING, clients are told to go elsewhere (GOAWAY); calls that run go on.
  virtual void drain() = 0;
  // Fires Abort::shutdown on every unanswered call.
  virtual void abort_all() = 0;
  // Cancels what is left and waits for it; idempotent. Not on a core's thread.
  virtual void stop() = 0;
};

}  // namespace bessemer
