// bessemer_failover: streams through a router over mock workers that fail; says what became of them.
#include <cstdio>
#include <filesystem>
#include <map>

#include <CLI/CLI.hpp>

#include "common/log.h"
#include "tests/failover/campaign.h"
#include "tests/failover/own_network.h"
#include "tests/failover/process_victim.h"

namespace bessemer::failover {
namespace {

void add_options(CLI::App& app, CampaignOptions& options, std::vector<std::string>& kinds) {
  const std::map<std::string, Place> places{{"in-process", Place::in_process},
                                            {"processes", Place::processes},
                                            {"behind-wires", Place::behind_wires},
                                            {"behind-routes", Place::behind_routes}};
  app.add_option("--place", options.place,
                 "of the workers: in-process, processes, behind-wires, behind-routes")
      ->transform(CLI::CheckedTransformer(places));
  app.add_option("--workers", options.workers, "mock workers");
  app.add_option("--step-us", options.step_us, "time of one engine step");
  app.add_option("--orphan-ms", options.orphan_ms, "how long attempts outlive their lane");
  app.add_option("--router", options.router, "bessemer's binary; none: a router in this process");
  app.add_option("--router-threads", options.router_threads, "cores of the router");
  app.add_option("--seed", options.faults.seed, "of streams and faults");
  app.add_option("--faults", kinds, "only these kinds; none: all that can befall a worker there");
  app.add_option("--sick-share", options.faults.sick_share, "of workers at once, at most");
  app.add_option("--streams", options.clients.streams, "in all");
  app.add_option("--concurrency", options.clients.concurrency, "at once");
}

int run(int argc, char** argv) {
  CampaignOptions options;
  std::vector<std::string> kinds;
  double patience_s = 60;
  std::string level = "off";
  CLI::App app("Streams through a router over mock workers that fail");
  add_options(app, options, kinds);
  app.add_option("--patience-s", patience_s, "for a whole answer; beyond it a stream is hung");
  app.add_option("--log-level", level, "of the router");
  CLI11_PARSE(app, argc, argv);
  init_log("failover", level, false);
  options.clients.patience =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(patience_s));
  for (const std::string& name : kinds) {
    FaultKind kind{};
    if (name == "none") {
      options.faults.sick_share = 0;
    } else if (find_fault(name, kind)) {
      options.faults.kinds.push_back(kind);
    } else {
      std::fprintf(stderr, "no fault is called %s\n", name.c_str());
      return 2;
    }
  }
  if (options.place == Place::behind_routes && !in_own_network()) {
    std::vector<std::string> again{argv, argv + argc};
    again[0] = std::filesystem::read_symlink("/proc/self/exe").string();
    return run_in_own_network(std::move(again));
  }
  const auto report = run_campaign(options);
  if (!report.ok()) {
    std::fprintf(stderr, "%s\n", std::string(report.status().message()).c_str());
    return 2;
  }
  std::printf("seed %llu, %s", static_cast<unsigned long long>(options.faults.seed),
              describe(*report).c_str());
  return report->good() ? 0 : 1;
}

}  // namespace
}  // namespace bessemer::failover

int main(int argc, char** argv) {
  if (bessemer::failover::is_mock_command(argc, argv))
    return bessemer::failover::run_mock_command(argc, argv);
  return bessemer::failover::run(argc, argv);
}
