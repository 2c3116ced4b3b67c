// A worker for tests and benchmarks: the real gRPC services over a simulated engine.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "bench/mock_worker/mock_engine.h"
#include "bench/mock_worker/mock_model.h"
#include "common/status.h"

namespace bessemer {

struct MockWorkerOptions {
  std::string host = "127.0.0.1";
  int port = 0;  // 0: any free one
  MockModel model;
  MockTiming timing;
  uint64_t missing_features = 0;  // bit i: feature i is not offered
};

class MockWorker {
 public:
  static StatusOr<std::unique_ptr<MockWorker>> start(const MockWorkerOptions& options);
  // Ends at once, like a killed process.
  virtual ~MockWorker() = default;

  virtual int port() const = 0;
  virtual MockEngine& engine() = 0;
  std::string address() const { return "127.0.0.1:" + std::to_string(port()); }
};

}  // namespace bessemer
