// bessemer.v1.Engine over gRPC's callback API: a SessionCore per lane, driven by reads, writes and
// the engine's events.
//
// Invariants
//   T1  A lane's state is touched under its lock only. At most one read and one write are
//       outstanding.
//   T2  Finish is called once, with no write outstanding and no cancellation under way; nothing is
//       started after it.
//   T3  A lane lives until OnDone; the service is destroyed only when no lane is left.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/clock.h"
#include "worker/service/facts.h"
#include "worker/service/hub.h"

namespace grpc {
class Service;
}

namespace bessemer {

class SessionService {
 public:
  virtual ~SessionService() = default;
  virtual grpc::Service* service() = 0;
  // Pings, leases, orphans whose time is up.
  virtual void on_tick(TimePoint now) = 0;
  // Tells every router that no new work is taken.
  virtual void drain(uint32_t deadline_ms) = 0;
  // Ends every lane once what waits on it has been written; new ones are refused.
  virtual void close() = 0;
  virtual size_t lanes() const = 0;
};

// All outlive the service.
std::unique_ptr<SessionService> make_session_service(const WorkerFacts& facts,
                                                     const SessionLimits& limits, size_t max_lanes,
                                                     Hub& hub, const Clock& clock);

}  // namespace bessemer
