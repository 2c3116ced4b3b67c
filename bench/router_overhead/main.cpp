// bessemer_router_overhead: what the router adds to each token, in time and in CPU.
//
// Three processes: a mock worker, a router, and this client. The mock's tokens are the microsecond
// of their emission (modulo 100 ms), so that the age of a token is known where it arrives. "added"
// is that age at the client's read(); "direct" is the same over a bare session without a router.
// Router CPU is the router process's user and system time over the tokens of the measured time.
#include <cstdio>
#include <ctime>

#include <CLI/CLI.hpp>

#include "bench/common/host.h"
#include "bench/common/process.h"
#include "bench/common/result_file.h"
#include "bench/router_overhead/direct_client.h"
#include "bench/router_overhead/load_client.h"
#include "bench/router_overhead/mocks.h"
#include "common/json.h"
#include "common/log.h"
#include "router/router.h"

namespace bessemer::bench {
namespace {

constexpr int kEndless = 30'000;  // tokens: more than any measurement sees
constexpr double kNever = 1e-3;   // prompt tokens a second
constexpr int kIdleStreams = 2'000;

struct Arguments {
  std::string out, commit, command;
  double measure_s = 5;
  int router_threads = 2;
};

int router_main(int ready_fd, uint16_t worker_port, int threads) {
  init_log("router", "error", false);
  RouterConfig config;
  config.port = 0;
  config.threads = threads;
  config.ready_fd = ready_fd;
  config.drain_ms = 0;
  config.workers = {"127.0.0.1:" + std::to_string(worker_port)};
  return run_router(config);
}

struct Cluster {
  Child mock, router;
  Cluster(int64_t step_us, int threads, double prefill_tok_s = kAtOnce) {
    mock = spawn([&](int fd) { return serve_sessions(fd, step_us, prefill_tok_s); });
    router = spawn([&](int fd) { return router_main(fd, mock.port, threads); });
    timespec settle{1, 0};  // the router fetches the vocabulary
    nanosleep(&settle, nullptr);
  }
  ~Cluster() {
    stop(router);
    stop(mock);
  }
};

json::object measure(const Cluster& cluster, StreamLoad load, const char* what, int64_t step_us) {
  load.port = cluster.router.port;
  int64_t cpu = 0;
  StreamLoadResult result = run_load(load, [&] { cpu = cpu_microseconds(cluster.router.pid); });
  cpu = cpu_microseconds(cluster.router.pid) - cpu;
  const auto per = [&](int64_t count) {
    return count == 0 ? 0.0 : static_cast<double>(cpu) / static_cast<double>(count);
  };
  json::object row{{"what", what}, {"streams", load.streams}, {"step_us", step_us}};
  row["tokens_per_s"] = static_cast<double>(result.tokens) / result.seconds;
  row["tokens_per_read"] =
      result.sends == 0 ? 0.0
                        : static_cast<double>(result.tokens) / static_cast<double>(result.sends);
  row["requests_per_s"] = static_cast<double>(result.requests) / result.seconds;
  row["added_us_p50"] = result.added.quantile(0.5);
  row["added_us_p99"] = result.added.quantile(0.99);
  row["router_cpu_us_per_token"] = per(result.tokens);
  row["tokens_per_s_per_core"] = result.tokens == 0 ? 0.0 : 1e6 / per(result.tokens);
  row["router_resident_bytes"] = resident_bytes(cluster.router.pid);
  row["errors"] = result.errors;
  return row;
}

json::object measure_direct(int streams, int64_t step_us, double seconds) {
  const Child mock = spawn([&](int fd) { return serve_sessions(fd, step_us); });
  Child client;  // gRPC must not have run in a process that forks again
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  client.pid = fork();
  if (client.pid == 0) {
    Samples latency = run_direct("127.0.0.1:" + std::to_string(mock.port), streams, 1, seconds);
    const double figures[2] = {latency.quantile(0.5), latency.quantile(0.99)};
    std::_Exit(write(ends[1], figures, sizeof figures) == sizeof figures ? 0 : 1);
  }
  double figures[2] = {0, 0};
  if (read(ends[0], figures, sizeof figures) != sizeof figures)
    std::fprintf(stderr, "the direct client failed\n");
  stop(client);
  stop(mock);
  return {{"what", "direct session, no router"},
          {"streams", streams},
          {"step_us", step_us},
          {"age_us_p50", figures[0]},
          {"age_us_p99", figures[1]}};
}

// Streams that have begun and wait for their first token: what each takes of the router's memory,
// beyond what one takes.
json::object measure_idle(int threads) {
  int64_t resident[2];
  const int streams[2] = {1, kIdleStreams};
  for (int i = 0; i < 2; i++) {
    const Cluster cluster(10'000, threads, kNever);
    StreamLoad load;
    load.port = cluster.router.port;
    load.streams = streams[i];
    load.warm_up_s = 3;
    load.measure_s = 0;
    run_load(load, [&] { resident[i] = resident_bytes(cluster.router.pid); });
  }
  return {{"what", "idle streams"},
          {"streams", kIdleStreams},
          {"router_resident_bytes", resident[1]},
          {"router_bytes_per_idle_stream",
           static_cast<double>(resident[1] - resident[0]) / (kIdleStreams - 1)}};
}

void report(json::array& rows, json::object row) {
  std::printf("%s\n", json::serialize(row).c_str());
  std::fflush(stdout);
  rows.push_back(std::move(row));
}

int run(const Arguments& arguments) {
  json::array rows;
  StreamLoad load;
  load.measure_s = arguments.measure_s;
  load.max_tokens = kEndless;
  for (const int streams : {1, 64, 512}) {
    const int64_t step_us = 10'000;
    report(rows, measure_direct(streams, step_us, arguments.measure_s));
    const Cluster cluster(step_us, arguments.router_threads);
    load.streams = streams;
    report(rows, measure(cluster, load, "paced streams", step_us));
  }
  {
    const Cluster cluster(1'000, arguments.router_threads);
    load.streams = 512;
    report(rows, measure(cluster, load, "as fast as it goes", 1'000));
  }
  {
    const Cluster cluster(200, arguments.router_threads);
    load.streams = 64;
    load.max_tokens = 16;
    load.repeat = true;
    report(rows, measure(cluster, load, "16-token streams, each client asks again", 200));
  }
  report(rows, measure_idle(arguments.router_threads));
  json::object all{{"benchmark", "router_overhead"},
                   {"commit", arguments.commit},
                   {"command", arguments.command},
                   {"host", to_json(this_host())},
                   {"router_threads", arguments.router_threads},
                   {"time", std::time(nullptr)},
                   {"rows", std::move(rows)}};
  if (arguments.out.empty()) return 0;
  const Status written = write_json(arguments.out, all);
  if (!written.ok()) std::fprintf(stderr, "%s\n", std::string(written.message()).c_str());
  return written.ok() ? 0 : 1;
}

}  // namespace
}  // namespace bessemer::bench

int main(int argc, char** argv) {
  bessemer::bench::Arguments arguments;
  CLI::App app("What the router adds to each token");
  app.add_option("--out", arguments.out,
                 "JSON file to write, e.g. bench/results/router_overhead.json");
  app.add_option("--commit", arguments.commit, "commit to note in it");
  app.add_option("--seconds", arguments.measure_s, "of each measurement");
  app.add_option("--router-threads", arguments.router_threads, "cores of the router");
  CLI11_PARSE(app, argc, argv);
  for (int i = 0; i < argc; i++) arguments.command += (i == 0 ? "" : " ") + std::string(argv[i]);
  return bessemer::bench::run(arguments);
}
