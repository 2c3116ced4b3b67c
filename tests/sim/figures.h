// What a run says of its policy, as a table for people and as JSON.
#pragma once
#include <string>
#include <vector>

#include "common/json.h"
#include "tests/sim/cluster.h"

namespace bessemer::sim {

// A turn is good if it is answered and keeps both.
struct Slo {
  double ttft_s = 30, gap_s = 0.1;  // Mooncake's, FAST'25
};

struct Figures {
  std::string policy;
  size_t turns = 0, answered = 0, refused = 0, unasked = 0;
  double ttft_mean_s = 0, ttft_p50_s = 0, ttft_p99_s = 0;  // of answers
  double gap_mean_s = 0;                                   // between an answer's tokens
  double hit_rate = 0;  // prompt tokens found in caches, of all of answered turns
  double goodput = 0;   // good turns of all turns
  // Million prompt tokens: computed; of them, those that some worker had computed before.
  double computed_mtok = 0, recomputed_mtok = 0;
  double predicted_share = 0;  // found over predicted
  double imbalance = 0;        // the busiest worker's computed tokens over the mean
  double bounces = 0;          // refusals by workers, of a turn
};

Figures figures_of(const Cluster& cluster, const Slo& slo);
// Means, of runs that differ in their seed alone.
Figures mean_of(const std::vector<Figures>& runs);

struct Cell {
  std::string workload;
  double speed = 1;
  int32_t blocks = 0, workers = 0, routers = 1;
  bool admission = false;
  std::vector<Figures> rows;  // a policy each
};
std::string table(const Cell& cell);
json::object to_json(const Cell& cell);

}  // namespace bessemer::sim
