// Runs of one or two servers in turns: A B A B ...
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "bench/serve/server.h"
#include "bench/serve/summary.h"
#include "bench/serve/workload.h"

namespace bessemer::bench {

struct PhaseRun {
  std::string server;  // its label
  int repeat = 0;
  std::string phase;
  Summary summary;
};

struct CampaignOptions {
  WorkloadOptions workload;
  LoadOptions load;
  Slo slo;
  int repeats = 1;
  Duration start_timeout = std::chrono::seconds(120);  // until a started server's first token
  int warm_up = 2;  // requests to each server before anything is measured
  int busy = 0;     // processes that compute all the while, beside the servers
  uint64_t seed = 0;
  Duration settle = std::chrono::milliseconds(200);  // between two servers' turns: the one that
                                                     // was busy falls idle
};

using RunObserver = std::function<void(const PhaseRun&)>;

struct ServerIdentity {
  std::string label, where, software, model;
};

struct CampaignResult {
  std::vector<ServerIdentity> servers;
  std::vector<PhaseRun> runs;
};

// The words of the first server are learnt once; every repeat makes its prompts from a seed of its
// own, and both servers of a repeat get the same. Only one server works at a time.
StatusOr<CampaignResult> run_campaign(const std::vector<Candidate>& candidates,
                                      const CampaignOptions& options, const RunObserver& on_run);

// Cold starts, in turns: each server is started by its command, asked for a token every 2 ms until
// it comes, and stopped. Figures: start_to_first_token_ms, and the memory then.
StatusOr<CampaignResult> run_starts(const std::vector<Candidate>& candidates,
                                    const CampaignOptions& options, const RunObserver& on_run);

}  // namespace bessemer::bench
