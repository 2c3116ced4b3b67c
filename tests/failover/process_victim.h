// A mock worker as a process of its own: this very program, started again with kMockCommand as its
// first argument.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tests/failover/child.h"
#include "tests/failover/faults.h"

namespace bessemer::failover {

inline constexpr const char* kMockCommand = "mock-worker";

// main() begins with this: if the program was started as a mock, it is one, and ends as such.
bool is_mock_command(int argc, char** argv);
int run_mock_command(int argc, char** argv);

class ProcessVictim final : public Victim {
 public:
  // `flags` of bessemer_mock_worker. Unavailable: it did not start.
  static StatusOr<std::unique_ptr<ProcessVictim>> start(const std::vector<std::string>& flags);

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::vector<FaultKind> can_suffer() const override { return {FaultKind::kill, FaultKind::stop}; }
  void begin(FaultKind kind) override;
  bool end(FaultKind kind) override;
  // Ends it politely; what it says at its end, line by line.
  std::string finish() { return child_->finish(); }

 private:
  explicit ProcessVictim(const std::vector<std::string>& flags) : flags_(flags) {}
  Status spawn();

  const std::vector<std::string> flags_;
  int port_ = 0;  // 0 before its first start: any free one
  std::unique_ptr<Child> child_;
};

}  // namespace bessemer::failover
