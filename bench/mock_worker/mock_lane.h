// bessemer.v1.Engine of a mock worker.
#pragma once
#include <memory>

#include "bench/mock_worker/mock_engine.h"
#include "bench/mock_worker/mock_facts.h"

namespace grpc {
class Service;
}

namespace bessemer {

class MockSessions {
 public:
  virtual ~MockSessions() = default;
  virtual grpc::Service* service() = 0;
  // Writes what faults have held back; on the engine's thread.
  virtual void on_tick(int64_t now_us) = 0;
  // Tells every lane that this worker drains.
  virtual void drain(uint32_t deadline_ms) = 0;
  // The server has been shut down: waits until gRPC has let go of every lane. What they leave in
  // the engine dies with it.
  virtual void wait_for_none() = 0;
};

// All outlive the sessions.
std::unique_ptr<MockSessions> make_mock_sessions(const MockFacts& facts, MockEngine& engine,
                                                 Complaints& complaints, uint64_t chaos_seed);

}  // namespace bessemer
