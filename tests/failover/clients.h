// Many clients at once, each of whom asks, reads and checks what it gets: one thread, one event
// loop, a keep-alive connection each.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/common/samples.h"
#include "tests/failover/answer_checker.h"

namespace bessemer::failover {

struct ClientOptions {
  uint16_t port = 0;
  uint64_t seed = 1;
  int64_t streams = 100;
  int concurrency = 64;
  Duration patience = std::chrono::seconds(60);  // for a whole answer; beyond it the stream hangs
};

struct ClientResult {
  std::array<int64_t, kVerdicts> verdicts{};
  std::vector<std::string> examples;  // of all but right ones, each with its stream's number
  bench::Samples longest_gap_s;       // of each streamed answer that was right
  double seconds = 0;

  int64_t count(Verdict verdict) const { return verdicts[static_cast<size_t>(verdict)]; }
};

ClientResult run_clients(const MockModel& model, const ClientOptions& options);

}  // namespace bessemer::failover
