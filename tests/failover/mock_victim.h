// A mock worker in this process as a victim.
#pragma once
#include "bench/mock_worker/mock_worker.h"
#include "tests/failover/faults.h"

namespace bessemer::failover {

class MockVictim final : public Victim {
 public:
  explicit MockVictim(std::unique_ptr<MockWorker> worker) : worker_(std::move(worker)) {}
  MockWorker& worker() { return *worker_; }

  std::vector<FaultKind> can_suffer() const override;
  void begin(FaultKind kind) override;
  bool end(FaultKind kind) override;

 private:
  std::unique_ptr<MockWorker> worker_;
};

}  // namespace bessemer::failover
