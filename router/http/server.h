// The HTTP front: one acceptor, one event loop per core. The only folder that knows the HTTP
// library.
//
// A socket goes to the core with the fewest live requests, then the fewest connections:
// SO_REUSEPORT's hashing is uneven for long streams.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/status.h"
#include "router/http/core.h"
#include "router/http/exchange.h"
#include "router/http/limits.h"

namespace bessemer {

class TlsContext;  // router/http/tls_context.h

struct HttpServerOptions {
  std::string host = "127.0.0.1";  // numeric address
  uint16_t port = 0;               // 0: any free one
  size_t cores = 1;
  HttpLimits limits;
  std::shared_ptr<const TlsContext> tls;  // null: plain HTTP
};

class HttpServer {
 public:
  // Cores run from here on, so that they can be posted to; nothing is accepted before start().
  static std::unique_ptr<HttpServer> create(const HttpServerOptions& options);
  virtual ~HttpServer() = default;

  // Binds and accepts. Errors name the address: in use, not permitted, malformed.
  virtual Status start(RequestHandler handle, ErrorRenderer render_error) = 0;
  virtual uint16_t port() const = 0;
  // Any thread.
  virtual void set_limits(const HttpLimits& limits) = 0;
  virtual std::vector<Core*> cores() = 0;

  // Every answer from now on closes its connection.
  virtual void announce_drain() = 0;
  // The same, and idle connections are closed.
  virtual void drain() = 0;
  virtual void stop_accepting() = 0;
  virtual size_t live_requests() const = 0;
  // Fires Abort::shutdown on every unanswered request; one that still arrives gets a 503.
  virtual void abort_all() = 0;
  // Closes everything and ends the threads; idempotent.
  virtual void stop() = 0;
};

}  // namespace bessemer
