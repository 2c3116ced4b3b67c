#include "bench/mock_worker/mock_main.h"

#include <csignal>
#include <cstdio>
#include <iostream>
#include <map>
#include <sstream>
#include <thread>

#include <CLI/CLI.hpp>
#include <unistd.h>

#include "bench/mock_worker/mock_worker.h"

namespace bessemer {
namespace {

void add_options(CLI::App& app, MockWorkerOptions& options, std::vector<uint32_t>& missing) {
  app.add_option("--host", options.host, "address to bind");
  app.add_option("--port", options.port, "0: any free one");
  app.add_option("--name", options.model.name, "model name");
  app.add_option("--step-us", options.timing.step_us, "time of one engine step");
  app.add_option("--prefill-tok-s", options.timing.prefill_tok_s,
                 "prompt tokens a second, of all requests together");
  app.add_option("--script", options.model.script, "text for --output script");
  app.add_option("--end-every", options.model.end_every,
                 "hashed output: one token in so many ends the answer; 0: none");
  app.add_option("--kv-blocks", options.limits.kv_blocks, "of 16 tokens; 0: endless, no cache");
  app.add_option("--max-waiting", options.limits.max_waiting, "requests that wait for blocks");
  app.add_option("--orphan-ms", options.limits.orphan_ms, "how long requests outlive their lane");
  app.add_option("--missing-features", missing, "numbers of proto/features.md not to offer");
  app.add_option("--chaos-seed", options.chaos_seed, "of what happens to its frames");
  const std::map<std::string, MockOutput> outputs{
      {"hashed", MockOutput::hashed}, {"timed", MockOutput::timed}, {"script", MockOutput::script}};
  app.add_option("--output", options.model.output, "hashed, timed or script")
      ->transform(CLI::CheckedTransformer(outputs));
}

// Until the input ends.
void take_faults(MockFaults& faults) {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string name;
    int64_t value = 0;
    words >> name >> value;
    const Status status = set_fault(faults, name, value);
    if (!status.ok()) std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  }
}

void say_end(MockWorker& worker) {
  for (const std::string& one : worker.complaints().kept())
    std::printf("COMPLAINT %s\n", one.c_str());
  std::printf("END complaints=%zu resumed=%lld attached=%lld live=%lld\n",
              worker.complaints().count(), static_cast<long long>(worker.resumed()),
              static_cast<long long>(worker.attached()),
              static_cast<long long>(worker.engine().live()));
  std::fflush(stdout);
}

}  // namespace

int mock_worker_main(int argc, char** argv) {
  MockWorkerOptions options;
  std::vector<uint32_t> missing;
  bool until_eof = false;
  CLI::App app("A worker with a simulated engine, for tests and benchmarks");
  add_options(app, options, missing);
  app.add_flag("--until-eof", until_eof, "end with the standard input");
  CLI11_PARSE(app, argc, argv);
  for (const uint32_t feature : missing) options.missing_features |= uint64_t{1} << (feature & 63);

  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  auto worker = MockWorker::start(options);
  if (!worker.ok()) {
    std::fprintf(stderr, "%s\n", std::string(worker.status().message()).c_str());
    return 1;
  }
  std::printf("READY %s:%d\n", options.host.c_str(), (*worker)->port());
  std::fflush(stdout);
  std::thread([&faults = (*worker)->faults(), until_eof] {
    take_faults(faults);
    if (until_eof) kill(getpid(), SIGTERM);
  }).detach();
  int signal = 0;
  sigwait(&stop, &signal);
  say_end(**worker);
  std::_Exit(0);  // the reader of the input cannot be joined
}

}  // namespace bessemer
