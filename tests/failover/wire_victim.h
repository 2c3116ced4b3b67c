// The wire to a mock worker as a victim.
#pragma once
#include "tests/failover/faults.h"
#include "tests/failover/tcp_proxy.h"

namespace bessemer::failover {

class WireVictim final : public Victim {
 public:
  explicit WireVictim(std::unique_ptr<TcpProxy> proxy) : proxy_(std::move(proxy)) {}
  std::string address() const { return proxy_->address(); }

  std::vector<FaultKind> can_suffer() const override {
    return {FaultKind::cut, FaultKind::black_hole, FaultKind::lag};
  }
  void begin(FaultKind kind) override {
    if (kind == FaultKind::cut) proxy_->cut();
    if (kind == FaultKind::black_hole) proxy_->set_black_hole(true);
    if (kind == FaultKind::lag) proxy_->set_lag_ms(kLagMs);
  }
  bool end(FaultKind) override {
    proxy_->set_black_hole(false);
    proxy_->set_lag_ms(0);
    return true;
  }

 private:
  static constexpr int32_t kLagMs = 100;
  std::unique_ptr<TcpProxy> proxy_;
};

}  // namespace bessemer::failover
