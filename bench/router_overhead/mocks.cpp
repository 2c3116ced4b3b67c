#include "bench/router_overhead/mocks.h"

#include <chrono>
#include <csignal>
#include <string>

#include <unistd.h>

#include "bench/mock_openai/openai_worker.h"
#include "bench/mock_worker/mock_worker.h"

namespace bessemer::bench {
namespace {

// Before any other thread exists, which would be stopped by the signal.
sigset_t hold_sigterm() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

int until_sigterm(int ready_fd, uint16_t port, const sigset_t& set) {
  const std::string line = "READY 127.0.0.1:" + std::to_string(port) + "\n";
  if (write(ready_fd, line.data(), line.size()) < 0) return 1;
  int signal = 0;
  sigwait(&set, &signal);
  return 0;
}

}  // namespace

int serve_sessions(int ready_fd, int64_t step_us, double prefill_tok_s) {
  const sigset_t set = hold_sigterm();
  MockWorkerOptions options;
  options.model.output = MockOutput::timed;
  options.timing.step_us = step_us;
  options.timing.prefill_tok_s = prefill_tok_s;
  options.limits.kv_blocks = 0;  // endless streams, and no accounting beside what is measured
  const auto worker = MockWorker::start(options);
  return worker.ok() ? until_sigterm(ready_fd, (*worker)->port(), set) : 1;
}

int serve_openai(int ready_fd, int64_t step_us) {
  const sigset_t set = hold_sigterm();
  const auto worker = OpenAiWorker::start(std::chrono::microseconds(step_us));
  return worker.ok() ? until_sigterm(ready_fd, (*worker)->port(), set) : 1;
}

}  // namespace bessemer::bench
