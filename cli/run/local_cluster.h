// A router and one worker of our own, for the time of a chat.
#pragma once
#include <memory>
#include <string>

#include "cli/environment.h"
#include "cli/run/http_stream.h"
#include "cli/serve/child.h"
#include "common/status.h"

namespace bessemer {

class LocalCluster {
 public:
  // Returns when a request can be served. The error says which process failed; its own words are on
  // the screen.
  static StatusOr<std::unique_ptr<LocalCluster>> start(const std::string& model,
                                                       const Environment& environment);
  ~LocalCluster();
  const ServerAddress& address() const { return address_; }

 private:
  LocalCluster() = default;
  ServerAddress address_;
  std::vector<StartedChild> children_;
};

}  // namespace bessemer
