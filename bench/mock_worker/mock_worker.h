// A worker for tests and benchmarks: the real gRPC services over a simulated engine. What it
// promises and what can go wrong in it: README.md.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "bench/mock_worker/complaints.h"
#include "bench/mock_worker/mock_engine.h"
#include "bench/mock_worker/mock_model.h"
#include "common/status.h"

namespace bessemer {

struct MockWorkerOptions {
  std::string host = "127.0.0.1";
  int port = 0;  // 0: any free one
  MockModel model;
  MockTiming timing;
  MockLimits limits;
  uint64_t missing_features = 0;  // bit i: feature i is not offered
  uint64_t chaos_seed = 1;        // of what happens to its frames
};

// One owner, who calls from one thread at a time; faults, complaints and the engine's numbers are
// for any thread.
class MockWorker {
 public:
  static StatusOr<std::unique_ptr<MockWorker>> start(const MockWorkerOptions& options);
  // Ends at once, like a killed process.
  virtual ~MockWorker() = default;

  virtual int port() const = 0;
  virtual std::string address() const = 0;
  // Of a worker that is alive.
  virtual MockEngine& engine() = 0;

  // The same for all of its lives.
  virtual MockFaults& faults() = 0;
  virtual const Complaints& complaints() const = 0;
  virtual int64_t resumed() const = 0;
  virtual int64_t attached() const = 0;

  virtual bool alive() const = 0;
  // Listener, lanes and all state vanish. Nothing if it is not alive.
  virtual void crash() = 0;
  // Comes back on its port with a new incarnation and an empty cache.
  virtual Status revive() = 0;
  // Takes no new requests and says so; those that run go on.
  virtual void drain(uint32_t deadline_ms) = 0;
};

}  // namespace bessemer
