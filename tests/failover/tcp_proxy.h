// A wire between a router and a worker that can be cut, go silent, or be slow: forwards bytes of
// TCP connections on a thread of its own.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "common/status.h"

namespace bessemer::failover {

class TcpProxy {
 public:
  // Listens on a free port of 127.0.0.1 and forwards to `port` there.
  static StatusOr<std::unique_ptr<TcpProxy>> start(uint16_t port);
  virtual ~TcpProxy() = default;

  virtual uint16_t port() const = 0;
  std::string address() const { return "127.0.0.1:" + std::to_string(port()); }

  // Nothing passes either way and nothing is refused or reset; what was sent meanwhile passes
  // later, as TCP would send it again. New connections are taken and stay silent.
  virtual void set_black_hole(bool on) = 0;
  // Every byte passes so much later; 0: at once.
  virtual void set_lag_ms(int32_t ms) = 0;
  // Resets every connection that there is.
  virtual void cut() = 0;
};

}  // namespace bessemer::failover
