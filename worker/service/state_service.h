// bessemer.v1.State over gRPC: the model card, the vocabulary in chunks, load, prefix cache
// and tenants' accounts as they change.
#pragma once
#include <cstddef>
#include <memory>

#include "common/clock.h"
#include "worker/service/facts.h"
#include "worker/service/hub.h"

namespace grpc {
class Service;
}

namespace bessemer {

class StateService {
 public:
  virtual ~StateService() = default;
  virtual grpc::Service* service() = 0;
  // After an engine pass, on its thread: sends the load reports that are due.
  virtual void on_step(TimePoint now) = 0;
  // From time to time, never on the engine's thread: the same, and what is new in the prefix cache.
  virtual void on_tick(TimePoint now) = 0;
  // Ends every stream; new ones are refused.
  virtual void close() = 0;
};

// All outlive the service. max_watches: of all kinds together.
std::unique_ptr<StateService> make_state_service(const WorkerFacts& facts, size_t max_watches,
                                                 Hub& hub, const Clock& clock);

}  // namespace bessemer
