// bessemer_mock_worker: a simulated worker as a process.
#include <csignal>
#include <cstdio>
#include <map>

#include <CLI/CLI.hpp>

#include "bench/mock_worker/mock_worker.h"

int main(int argc, char** argv) {
  bessemer::MockWorkerOptions options;
  CLI::App app("A worker with a simulated engine, for tests and benchmarks");
  app.add_option("--host", options.host, "address to bind");
  app.add_option("--port", options.port, "0: any free one");
  app.add_option("--name", options.model.name, "model name");
  app.add_option("--step-us", options.timing.step_us, "time of one engine step");
  app.add_option("--prefill-tok-s", options.timing.prefill_tok_s,
                 "prompt tokens a second, of each sequence");
  app.add_option("--script", options.model.script, "text for --output script");
  const std::map<std::string, bessemer::MockOutput> outputs{
      {"hashed", bessemer::MockOutput::hashed},
      {"timed", bessemer::MockOutput::timed},
      {"script", bessemer::MockOutput::script}};
  app.add_option("--output", options.model.output, "hashed, timed or script")
      ->transform(CLI::CheckedTransformer(outputs));
  CLI11_PARSE(app, argc, argv);

  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  auto worker = bessemer::MockWorker::start(options);
  if (!worker.ok()) {
    std::fprintf(stderr, "%s\n", std::string(worker.status().message()).c_str());
    return 1;
  }
  std::printf("READY %s:%d\n", options.host.c_str(), (*worker)->port());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&stop, &signal);
  return 0;
}
