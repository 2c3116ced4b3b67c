// bessemer.v1.State of a mock worker: the card, the vocabulary, and what it says of its load and of
// its prefix cache, by the worker's own rules of when and how (worker/service).
#pragma once
#include <memory>

#include "bench/mock_worker/mock_engine.h"
#include "bench/mock_worker/mock_facts.h"

namespace grpc {
class Service;
}

namespace bessemer {

class MockState {
 public:
  virtual ~MockState() = default;
  virtual grpc::Service* service() = 0;
  // Reports what is due; on the engine's thread.
  virtual void on_tick(int64_t now_us) = 0;
  // The server has been shut down: waits until gRPC has let go of every stream.
  virtual void wait_for_none() = 0;
};

// All outlive the state.
std::unique_ptr<MockState> make_mock_state(const MockFacts& facts, MockEngine& engine);

}  // namespace bessemer
