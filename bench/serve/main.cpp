// bessemer_bench_serve: a load client for any OpenAI-compatible server, and for two in turns.
#include <algorithm>
#include <ctime>

#include <CLI/CLI.hpp>
#include <absl/synchronization/mutex.h>
#include <fmt/format.h>

#include "bench/common/result_file.h"
#include "bench/serve/arguments.h"
#include "bench/serve/report.h"

namespace bessemer::bench {
namespace {

StatusOr<CampaignResult> measure(const Arguments& arguments) {
  std::vector<Candidate> candidates = {arguments.a};
  if (arguments.two()) candidates.push_back(arguments.b);
  const RunObserver on_run = [&](const PhaseRun& run) {
    fmt::print(stderr, "{}\n", progress_line(run, arguments.options.repeats));
  };
  return arguments.workload == "start" ? run_starts(candidates, arguments.options, on_run)
                                       : run_campaign(candidates, arguments.options, on_run);
}

bool any_answer(const CampaignResult& result) {
  return std::ranges::any_of(result.runs,
                             [](const PhaseRun& run) { return run.summary.answered > 0; });
}

// Failed requests are part of a result; a result without any answer is none.
Status run(Arguments& arguments) {
  RETURN_IF_ERROR(complete(arguments));
  ASSIGN_OR_RETURN(const CampaignResult result, measure(arguments));
  const ReportHead head{.title = title(arguments),
                        .commit = arguments.commit,
                        .command = arguments.command,
                        .seed = arguments.options.seed,
                        .time = std::time(nullptr),
                        .host = this_host()};
  fmt::print("{}", table(head, result));
  if (!arguments.json_file.empty())
    RETURN_IF_ERROR(write_json(arguments.json_file, to_json(head, result)));
  if (any_answer(result)) return absl::OkStatus();
  return absl::UnavailableError("no request was answered");
}

}  // namespace
}  // namespace bessemer::bench

int main(int argc, char** argv) {
  using namespace bessemer::bench;
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  Arguments arguments;
  CLI::App app("A load client for OpenAI-compatible servers; see bench/README.md.");
  add_flags(app, arguments);
  CLI11_PARSE(app, argc, argv);
  arguments.command = command_line(argc, argv);
  const bessemer::Status status = run(arguments);
  if (status.ok()) return 0;
  fmt::print(stderr, "bessemer_bench_serve: {}\n", std::string(status.message()));
  return 1;
}
