// The router of a campaign: in this process, or a program of its own.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "common/status.h"

namespace bessemer::failover {

struct FrontOptions {
  std::string binary;  // `bessemer`; empty: in this process
  int threads = 2;
  std::vector<std::string> workers;
};

class Front {
 public:
  // Returns once all workers are ready. Unavailable: it did not start, or they did not come.
  static StatusOr<std::unique_ptr<Front>> start(const FrontOptions& options);
  virtual ~Front() = default;

  virtual uint16_t port() const = 0;
  virtual pid_t pid() const = 0;  // of the process that the router is in
};

}  // namespace bessemer::failover
