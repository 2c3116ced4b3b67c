// The route to a mock worker as a victim: every packet to its address is dropped.
#pragma once
#include <string>
#include <utility>

#include "tests/failover/faults.h"
#include "tests/failover/own_network.h"

namespace bessemer::failover {

class RouteVictim final : public Victim {
 public:
  explicit RouteVictim(std::string address) : address_(std::move(address)) {}

  std::vector<FaultKind> can_suffer() const override { return {FaultKind::black_hole}; }
  void begin(FaultKind) override { hole_ = set_route_black_hole(address_, true).ok(); }
  bool end(FaultKind) override {
    if (hole_) hole_ = !set_route_black_hole(address_, false).ok();
    return !hole_;
  }

 private:
  const std::string address_;
  bool hole_ = false;
};

}  // namespace bessemer::failover
