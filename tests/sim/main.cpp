// routing_sim: policies side by side over a trace or a generated workload, in virtual time.
#include <chrono>
#include <cstdio>
#include <fstream>

#include <CLI/CLI.hpp>

#include "bench/common/trace.h"
#include "tests/sim/checkers/all.h"
#include "tests/sim/figures.h"

namespace bessemer::sim {
namespace {

struct Arguments {
  std::string trace, out, commit, command;
  std::vector<std::string> policies;
  std::vector<double> speeds{1.0};
  std::vector<int32_t> blocks{1024, 4096};
  int32_t workers = 8, routers = 1, seeds = 1;
  uint64_t seed = 1;
  size_t requests = 0;
  bool admission = false;
  int32_t max_waiting = EngineOptions().max_waiting;
  int32_t gate = RouterOptions().max_waiting, retries = 0;
  double longest_wait_s = std::chrono::duration<double>(RouterOptions().longest_wait).count();
  bool no_pledges = false;
  int64_t report_ms = kLoadIntervalMs;
  TurnsOptions turns;
  Slo slo;
};

void add_flags(CLI::App& app, Arguments& arguments) {
  app.add_option("--trace", arguments.trace,
                 "Mooncake JSON lines or Azure CSV; without it generated chats of several turns");
  app.add_option("--requests", arguments.requests, "so many first ones of the trace; 0: all");
  app.add_option("--conversations", arguments.turns.conversations, "of the generated chats")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--rate", arguments.turns.per_s, "generated chats begun a second, at 1x")
      ->check(CLI::PositiveNumber);
  app.add_option("--speed", arguments.speeds, "how much faster than recorded; several: each")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  app.add_option("--policy", arguments.policies, "which ones, separated by commas; default: all")
      ->delimiter(',')
      ->check(CLI::IsMember(contender_names()));
  app.add_option("--workers", arguments.workers)->check(CLI::Range(1, 4096));
  app.add_option("--routers", arguments.routers, "each turn goes to any of them")
      ->check(CLI::Range(1, 64));
  app.add_option("--blocks", arguments.blocks, "of 512 tokens, of a worker; several: each")
      ->delimiter(',')
      ->check(CLI::Range(16, 1 << 20));
  app.add_option("--report-ms", arguments.report_ms, "between two load reports")
      ->check(CLI::Range(kLeastLoadIntervalMs, kMostLoadIntervalMs));
  app.add_flag("--admission", arguments.admission,
               "workers grant what routers may bring and refuse what they cannot serve in time; "
               "what is beyond that waits at the routers' gates, or is refused there; without it "
               "everything is taken, however long it takes");
  app.add_option("--max-waiting", arguments.max_waiting, "of a worker, with --admission")
      ->check(CLI::Range(1, 65536));
  app.add_option("--gate", arguments.gate, "requests that wait at a router's gate")
      ->check(CLI::Range(0, 1'000'000));
  app.add_option("--longest-wait-s", arguments.longest_wait_s,
                 "at the gate: who would wait for longer is turned away")
      ->check(CLI::PositiveNumber);
  app.add_option("--retries", arguments.retries,
                 "how often a client comes back that was told when to")
      ->check(CLI::Range(0, 100));
  app.add_flag("--no-pledges", arguments.no_pledges,
               "routers know what workers have, not what they are about to have");
  app.add_option("--slo-ttft-s", arguments.slo.ttft_s)->check(CLI::PositiveNumber);
  app.add_option("--slo-gap-s", arguments.slo.gap_s, "mean between an answer's tokens")
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", arguments.seed, "of arrivals, ties and generated chats");
  app.add_option("--seeds", arguments.seeds, "so many runs, from that seed on; means are shown")
      ->check(CLI::Range(1, 1000));
  app.add_option("--out", arguments.out, "JSON file");
  app.add_option("--commit", arguments.commit, "stored with the results");
}

StatusOr<Workload> make_workload(const Arguments& arguments, const bench::Trace& trace,
                                 double speed, uint64_t seed) {
  if (!arguments.trace.empty()) {
    const size_t slash = arguments.trace.rfind('/');
    return workload_of(trace, arguments.trace.substr(slash == std::string::npos ? 0 : slash + 1),
                       {speed, arguments.requests, seed});
  }
  TurnsOptions turns = arguments.turns;
  turns.per_s *= speed;
  turns.seed = seed;
  return turns_workload(turns);
}

ClusterOptions cluster_options(const Arguments& arguments, const std::string& policy,
                               int32_t blocks, uint64_t seed) {
  ClusterOptions options;
  options.workers = arguments.workers;
  options.routers = arguments.routers;
  options.policy = policy;
  options.worker = worker_options(blocks);
  options.worker.load_interval_ms = static_cast<uint32_t>(arguments.report_ms);
  options.router.admission = arguments.admission;
  options.router.pledges = !arguments.no_pledges;
  options.router.max_waiting = arguments.gate;
  options.router.longest_wait = from_seconds(arguments.longest_wait_s);
  options.retries = arguments.retries;
  options.worker.engine.max_waiting = arguments.admission ? arguments.max_waiting : kNoQueueBound;
  options.seed = seed;
  return options;
}

// The checkers watch every run: a figure of a run that broke an invariant is not shown.
StatusOr<Figures> run_once(const ClusterOptions& options, const Workload& workload,
                           const Slo& slo) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Cluster> cluster, Cluster::make(options, workload));
  add_checkers(*cluster);
  cluster->run();
  if (!cluster->complaint().empty()) {
    return absl::InternalError("policy " + options.policy + ", seed " +
                               std::to_string(options.seed) + ": " + cluster->complaint());
  }
  return figures_of(*cluster, slo);
}

StatusOr<Cell> run_cell(const Arguments& arguments, const bench::Trace& trace, double speed,
                        int32_t blocks) {
  Cell cell;
  cell.speed = speed;
  cell.blocks = blocks;
  cell.workers = arguments.workers;
  cell.routers = arguments.routers;
  cell.admission = arguments.admission;
  for (const std::string& policy : arguments.policies) {
    std::vector<Figures> runs;
    for (uint64_t seed = arguments.seed; runs.size() < static_cast<size_t>(arguments.seeds);
         ++seed) {
      ASSIGN_OR_RETURN(const Workload workload, make_workload(arguments, trace, speed, seed));
      cell.workload = workload.name;
      const ClusterOptions options = cluster_options(arguments, policy, blocks, seed);
      ASSIGN_OR_RETURN(Figures figures, run_once(options, workload, arguments.slo));
      runs.push_back(std::move(figures));
    }
    cell.rows.push_back(mean_of(runs));
  }
  return cell;
}

Status store(const Arguments& arguments, const json::array& cells) {
  if (arguments.out.empty()) return absl::OkStatus();
  const json::object report{
      {"benchmark", "routing_sim"},       {"commit", arguments.commit},
      {"command", arguments.command},     {"seed", arguments.seed},
      {"seeds", arguments.seeds},         {"slo_ttft_s", arguments.slo.ttft_s},
      {"slo_gap_s", arguments.slo.gap_s}, {"cells", cells}};
  std::ofstream file(arguments.out);
  file << json::serialize(report) << '\n';
  if (file.flush()) return absl::OkStatus();
  return absl::UnavailableError("cannot write " + arguments.out + ": choose another --out");
}

Status run(const Arguments& arguments) {
  bench::Trace trace;
  if (!arguments.trace.empty()) {
    ASSIGN_OR_RETURN(trace, bench::read_trace(arguments.trace));
  }
  json::array cells;
  for (const double speed : arguments.speeds) {
    for (const int32_t blocks : arguments.blocks) {
      ASSIGN_OR_RETURN(const Cell cell, run_cell(arguments, trace, speed, blocks));
      std::fputs(table(cell).c_str(), stdout);
      std::fflush(stdout);
      cells.push_back(to_json(cell));
    }
  }
  return store(arguments, cells);
}

}  // namespace
}  // namespace bessemer::sim

int main(int argc, char** argv) {
  using namespace bessemer::sim;
  CLI::App app("Policies side by side, in virtual time.");
  Arguments arguments;
  add_flags(app, arguments);
  CLI11_PARSE(app, argc, argv);
  if (arguments.policies.empty()) arguments.policies = contender_names();
  for (int i = 0; i < argc; ++i) arguments.command += (i == 0 ? "" : " ") + std::string(argv[i]);
  const bessemer::Status status = run(arguments);
  if (status.ok()) return 0;
  std::fprintf(stderr, "routing_sim: %s\n", std::string(status.message()).c_str());
  return 1;
}
