// An OpenTelemetry collector for tests: real HTTP on a port of its own, scripted answers.
#pragma once
#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/server_address.h"

namespace bessemer {

class FakeCollector {
 public:
  // What is sent back for the nth post, from 0: a whole HTTP answer; "": the connection is closed.
  using Script = std::function<std::string(size_t nth)>;
  explicit FakeCollector(Script script, int port = 0);
  ~FakeCollector();
  FakeCollector(const FakeCollector&) = delete;

  ServerAddress address() const { return {"127.0.0.1", std::to_string(port_)}; }
  int port() const { return port_; }
  // Heads and bodies, in the order in which they came.
  std::vector<std::string> heads() const;
  std::vector<std::string> bodies() const;

 private:
  void serve();
  void answer(int socket);

  const Script script_;
  int listener_ = -1, port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> heads_, bodies_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

std::string collector_answer(int status, const std::string& headers = "",
                             const std::string& body = "{}");

}  // namespace bessemer
