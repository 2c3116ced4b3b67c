#include "bench/serve/campaign.h"

#include <thread>

namespace bessemer::bench {
namespace {

constexpr double kMebibyte = 1024.0 * 1024.0;

uint64_t seed_of_repeat(uint64_t seed, int repeat) {
  return Random(seed + static_cast<uint64_t>(repeat)).next();
}

void add_memory(Server& server, Summary& summary) {
  if (!server.program) return;
  const Memory memory = memory_of_tree(server.program->pid());
  summary.figures.push_back(
      {"memory_mib", static_cast<double>(memory.total_bytes) / kMebibyte, Better::less});
  summary.figures.push_back({"anonymous_memory_mib",
                             static_cast<double>(memory.anonymous_bytes) / kMebibyte,
                             Better::less});
}

StatusOr<PromptWriter> learn_words(const Server& server, Duration timeout) {
  StatusOr<WordCosts> costs = learn_word_costs([&](const std::string& prompt) -> StatusOr<int> {
    ASSIGN_OR_RETURN(const Outcome outcome, ask_once(server.target, prompt, 1, timeout));
    if (!outcome.counted) {
      return absl::FailedPreconditionError(
          server.target.server.url() +
          " sends no usage, so that the tokens of a prompt are not known");
    }
    return static_cast<int>(outcome.prompt_tokens);
  });
  if (!costs.ok()) return annotate(costs.status(), "learning words of server " + server.label);
  return PromptWriter(*std::move(costs));
}

class Campaign {
 public:
  Campaign(std::vector<Server>& servers, const CampaignOptions& options, const RunObserver& on_run,
           const PromptWriter& words)
      : servers_(servers), options_(options), on_run_(on_run), words_(words) {}

  StatusOr<std::vector<PhaseRun>> run() {
    for (Server& server : servers_) RETURN_IF_ERROR(warm_up(server));
    for (int repeat = 0; repeat < options_.repeats; ++repeat) {
      ASSIGN_OR_RETURN(
          const std::vector<Phase> phases,
          make_workload(options_.workload, words_, seed_of_repeat(options_.seed, repeat)));
      for (Server& server : servers_) RETURN_IF_ERROR(take_turn(server, repeat, phases));
    }
    return std::move(runs_);
  }

 private:
  // Pages its weights in, starts its threads. Its prompts are those of no repeat.
  Status warm_up(const Server& server) {
    if (options_.warm_up == 0) return absl::OkStatus();
    WorkloadOptions few = options_.workload;
    few.kind = WorkloadKind::fixed;
    few.arrivals = ArrivalKind::closed;
    few.requests = options_.warm_up;
    ASSIGN_OR_RETURN(const std::vector<Phase> phases,
                     make_workload(few, words_, seed_of_repeat(options_.seed, -1)));
    LoadOptions load = options_.load;
    load.concurrency = options_.warm_up;
    return run_load(server.target, phases.front(), load).status();
  }

  Status take_turn(Server& server, int repeat, const std::vector<Phase>& phases) {
    std::this_thread::sleep_for(options_.settle);
    for (const Phase& phase : phases) {
      ASSIGN_OR_RETURN(const LoadResult result, run_load(server.target, phase, options_.load));
      runs_.push_back({.server = server.label,
                       .repeat = repeat,
                       .phase = phase.name,
                       .summary = summarise(result, options_.slo)});
      add_memory(server, runs_.back().summary);
      on_run_(runs_.back());
    }
    return absl::OkStatus();
  }

  std::vector<Server>& servers_;
  const CampaignOptions& options_;
  const RunObserver& on_run_;
  const PromptWriter& words_;
  std::vector<PhaseRun> runs_;
};

// A neighbour on the machine that wants all of a core.
StatusOr<std::vector<Program>> start_busy(int count) {
  std::vector<Program> busy;
  for (int i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(Program one, Program::start("sh -c 'while :; do :; done'", "/dev/null"));
    busy.push_back(std::move(one));
  }
  return busy;
}

ServerIdentity identity_of(const Server& server) {
  return {server.label, server.where, server.software, server.target.model};
}

}  // namespace

StatusOr<CampaignResult> run_campaign(const std::vector<Candidate>& candidates,
                                      const CampaignOptions& options, const RunObserver& on_run) {
  CampaignResult result;
  std::vector<Server> servers;
  for (const Candidate& candidate : candidates) {
    ASSIGN_OR_RETURN(Server server, open_server(candidate, options.start_timeout));
    result.servers.push_back(identity_of(server));
    servers.push_back(std::move(server));
  }
  ASSIGN_OR_RETURN(const PromptWriter words, learn_words(servers.front(), options.load.timeout));
  ASSIGN_OR_RETURN(const std::vector<Program> busy, start_busy(options.busy));
  ASSIGN_OR_RETURN(result.runs, Campaign(servers, options, on_run, words).run());
  for (Server& server : servers) close_server(std::move(server));
  return result;
}

StatusOr<CampaignResult> run_starts(const std::vector<Candidate>& candidates,
                                    const CampaignOptions& options, const RunObserver& on_run) {
  CampaignResult result;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (const Candidate& candidate : candidates) {
      ASSIGN_OR_RETURN(Server server, open_server(candidate, options.start_timeout));
      if (repeat == 0) result.servers.push_back(identity_of(server));
      PhaseRun run{.server = server.label, .repeat = repeat, .phase = "start", .summary = {}};
      run.summary.requests = run.summary.answered = 1;
      run.summary.figures.push_back({"start_to_first_token_ms", server.start_ms, Better::less});
      add_memory(server, run.summary);
      result.runs.push_back(std::move(run));
      on_run(result.runs.back());
      close_server(std::move(server));
    }
  }
  return result;
}

}  // namespace bessemer::bench
