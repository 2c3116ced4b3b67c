// The results for people and for machines.
#pragma once
#include <string>

#include "bench/common/host.h"
#include "bench/serve/campaign.h"
#include "bench/serve/compare.h"

namespace bessemer::bench {

struct ReportHead {
  std::string title;  // what was asked, in one line
  std::string commit, command;
  uint64_t seed = 0;
  int64_t time = 0;  // seconds since 1970
  Host host;
};

// One phase of a campaign, over its repeats.
struct PhaseReport {
  std::string phase;
  std::vector<Compared> rows;
};
std::vector<PhaseReport> phases_of(const CampaignResult& result);

std::string progress_line(const PhaseRun& run, int repeats);
std::string table(const ReportHead& head, const CampaignResult& result);
// {"benchmark": "serve", commit, command, host, seed, time, servers, phases: [{phase, figures:
// [{name, better, a, b, ratio, least, most}]}], runs: [{server, repeat, phase, figures, failures}]}
json::object to_json(const ReportHead& head, const CampaignResult& result);

}  // namespace bessemer::bench
