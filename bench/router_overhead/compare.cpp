// bessemer_router_compare: routers of several projects side by side, each in front of a worker
// without a model that speaks its protocol, at the same pace.
//
// A router has one core for itself, worker and client have the other. Every row measures the routers
// in turns, each started anew. The verdict is CPU time: a token's, with streams; a request's, with
// whole answers. What is "added" is a token's age at the client's read.
#include <cstdio>
#include <ctime>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sched.h>

#include "bench/common/host.h"
#include "bench/common/process.h"
#include "bench/common/result_file.h"
#include "bench/router_overhead/load_client.h"
#include "bench/router_overhead/mocks.h"
#include "bench/serve/server.h"
#include "common/json.h"

namespace bessemer::bench {
namespace {

constexpr int kClientCpu = 0, kRouterCpu = 1;
constexpr int kEndless = 30'000;  // tokens: more than any measurement sees
constexpr auto kStartTimeout = std::chrono::seconds(60);

struct Arguments {
  std::string out, commit, command, only;
  std::string ours;                // with {port} and {worker}
  std::vector<std::string> peers;  // NAME=COMMAND, with the same
  double measure_s = 5;
  int repeats = 1;
};

struct Contender {
  std::string name, command;
  bool speaks_openai = true;  // to its worker; else our sessions
};

struct Row {
  const char* what;
  int streams = 1;
  int64_t step_us = 0;
  int max_tokens = kEndless;
  bool repeat = false, whole = false;
};

// Ages are told apart up to 100 ms, and one core bears some 30,000 tokens of worker and client a
// second.
constexpr Row kRows[] = {
    {.what = "paced", .streams = 1, .step_us = 10'000},
    {.what = "paced", .streams = 64, .step_us = 10'000},
    {.what = "paced", .streams = 512, .step_us = 25'000},
    {.what = "paced", .streams = 2000, .step_us = 80'000},
    {.what = "short", .streams = 32, .step_us = 2'000, .max_tokens = 16, .repeat = true},
    {.what = "whole",
     .streams = 16,
     .step_us = 1'000,
     .max_tokens = 8,
     .repeat = true,
     .whole = true},
};

std::string name_of(const Row& row) {
  return fmt::format("{}-{}", row.what, row.streams);
}

bool pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

// Of the router: a wrapper's children too.
int64_t cpu_of(pid_t pid) {
  int64_t total = 0;
  for (const pid_t each : process_tree(pid)) total += cpu_microseconds(each);
  return total;
}

std::string worker_of(const Contender& contender, uint16_t port) {
  return fmt::format("{}127.0.0.1:{}", contender.speaks_openai ? "http://" : "", port);
}

StatusOr<json::object> measure(const Row& row, const Contender& contender, const Child& worker,
                               double seconds) {
  Candidate candidate;
  candidate.label = contender.name;
  candidate.command = filled(fmt::format("taskset -c {} {}", kRouterCpu, contender.command),
                             "{worker}", worker_of(contender, worker.port));
  candidate.target.model = "mock";
  ASSIGN_OR_RETURN(Server server, open_server(candidate, kStartTimeout));
  const pid_t pid = server.program->pid();
  const int64_t idle_bytes = memory_of_tree(pid).total_bytes;
  StreamLoad load;
  load.port = static_cast<uint16_t>(std::stoi(server.target.server.port));
  load.streams = row.streams;
  load.max_tokens = row.max_tokens;
  load.repeat = row.repeat;
  load.whole = row.whole;
  load.warm_up_s = row.streams > 1000 ? 4 : 2;
  load.measure_s = seconds;
  int64_t cpu = 0;
  StreamLoadResult result = run_load(load, [&] { cpu = cpu_of(pid); });
  cpu = cpu_of(pid) - cpu;
  const auto per = [&](int64_t count) {
    return count == 0 ? 0.0 : static_cast<double>(cpu) / static_cast<double>(count);
  };
  json::object figures{{"router", contender.name}, {"row", name_of(row)}};
  figures["software"] = server.software;
  figures["step_us"] = row.step_us;
  figures["tokens_per_s"] = static_cast<double>(result.tokens) / result.seconds;
  figures["requests_per_s"] = static_cast<double>(result.requests) / result.seconds;
  figures["cpu_us_per_token"] = per(result.tokens);
  figures["cpu_us_per_request"] = row.repeat ? per(result.requests) : 0.0;
  figures["cpu_share"] = static_cast<double>(cpu) / 1e6 / result.seconds;
  figures["age_us_p50"] = result.added.quantile(0.5);
  figures["age_us_p99"] = result.added.quantile(0.99);
  figures["memory_idle_bytes"] = idle_bytes;
  figures["memory_bytes"] = memory_of_tree(pid).total_bytes;
  figures["errors"] = result.errors;
  close_server(std::move(server));
  return figures;
}

double number(const json::object& figures, const char* name) {
  return figures.at(name).to_number<double>();
}

void print(const json::object& figures) {
  const double tokens = number(figures, "cpu_us_per_token");
  const double requests = number(figures, "cpu_us_per_request");
  std::printf(
      "%-10s %-14s %9.0f tok/s %8.0f req/s %7.2f us/tok %8.1f us/req  age %6.0f %6.0f us"
      "  cpu %4.2f  %5.0f MB %5.0f errors\n",
      figures.at("row").as_string().c_str(), figures.at("router").as_string().c_str(),
      number(figures, "tokens_per_s"), number(figures, "requests_per_s"), tokens, requests,
      number(figures, "age_us_p50"), number(figures, "age_us_p99"), number(figures, "cpu_share"),
      number(figures, "memory_bytes") / 1e6, number(figures, "errors"));
  std::fflush(stdout);
}

StatusOr<std::vector<Contender>> contenders_of(const Arguments& arguments) {
  std::vector<Contender> all = {{"bessemer", arguments.ours, false}};
  for (const std::string& peer : arguments.peers) {
    const size_t equals = peer.find('=');
    if (equals == std::string::npos)
      return absl::InvalidArgumentError("--peer wants NAME=COMMAND, not '" + peer + "'");
    all.push_back({peer.substr(0, equals), peer.substr(equals + 1), true});
  }
  return all;
}

// Both workers of a row, started before there are threads in this process.
struct Workers {
  explicit Workers(int64_t step_us)
      : sessions(spawn([=](int fd) { return serve_sessions(fd, step_us); })),
        openai(spawn([=](int fd) { return serve_openai(fd, step_us); })) {}
  ~Workers() {
    stop(sessions);
    stop(openai);
  }
  Workers(const Workers&) = delete;
  Child sessions, openai;
};

Status run(const Arguments& arguments) {
  ASSIGN_OR_RETURN(const std::vector<Contender> contenders, contenders_of(arguments));
  const Host host = this_host();
  if (!pin_to(kClientCpu) || host.processors < 2)
    return absl::FailedPreconditionError("two processors are needed, 0 and 1: one for the router");
  std::vector<std::pair<Row, std::unique_ptr<Workers>>> rows;
  for (const Row& row : kRows) {
    if (arguments.only.empty() || arguments.only == name_of(row))
      rows.emplace_back(row, std::make_unique<Workers>(row.step_us));
  }
  if (rows.empty()) return absl::InvalidArgumentError("no row '" + arguments.only + "'");
  json::array figures;
  for (const auto& [row, workers] : rows) {
    for (int repeat = 0; repeat < arguments.repeats; ++repeat) {
      for (const Contender& contender : contenders) {
        const Child& worker = contender.speaks_openai ? workers->openai : workers->sessions;
        ASSIGN_OR_RETURN(json::object one, measure(row, contender, worker, arguments.measure_s));
        print(one);
        figures.push_back(std::move(one));
      }
    }
  }
  if (arguments.out.empty()) return absl::OkStatus();
  const json::object all{{"benchmark", "router_compare"},    {"commit", arguments.commit},
                         {"command", arguments.command},     {"host", to_json(host)},
                         {"measure_s", arguments.measure_s}, {"time", std::time(nullptr)},
                         {"rows", std::move(figures)}};
  return write_json(arguments.out, all);
}

}  // namespace
}  // namespace bessemer::bench

int main(int argc, char** argv) {
  bessemer::bench::Arguments arguments;
  CLI::App app("Routers of several projects side by side, over workers without a model");
  app.add_option("--ours", arguments.ours,
                 "command of our router, with {port} and {worker} (host:port)")
      ->required();
  app.add_option("--peer", arguments.peers,
                 "NAME=COMMAND of another, with {port} and {worker} (http://host:port)");
  app.add_option("--only", arguments.only, "one row, e.g. paced-64");
  app.add_option("--repeats", arguments.repeats, "of each row");
  app.add_option("--seconds", arguments.measure_s, "of each measurement");
  app.add_option("--out", arguments.out, "JSON file to write");
  app.add_option("--commit", arguments.commit, "commit to note in it");
  CLI11_PARSE(app, argc, argv);
  for (int i = 0; i < argc; i++) arguments.command += (i == 0 ? "" : " ") + std::string(argv[i]);
  const bessemer::Status status = bessemer::bench::run(arguments);
  if (!status.ok()) std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return status.ok() ? 0 : 1;
}
