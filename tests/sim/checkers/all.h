// Those that hold in every run.
#pragma once
#include "tests/sim/checkers/ends_once.h"
#include "tests/sim/checkers/keeps_to_grants.h"
#include "tests/sim/checkers/knows_the_caches.h"
#include "tests/sim/checkers/returns_to_baseline.h"
#include "tests/sim/checkers/stays_within_bounds.h"

namespace bessemer::sim {

inline void add_checkers(Cluster& cluster) {
  cluster.add(std::make_unique<EndsOnce>());
  cluster.add(std::make_unique<ReturnsToBaseline>());
  cluster.add(std::make_unique<KeepsToGrants>());
  cluster.add(std::make_unique<KnowsTheCaches>());
  cluster.add(std::make_unique<StaysWithinBounds>());
}

}  // namespace bessemer::sim
