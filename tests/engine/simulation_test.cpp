// Scheduler and KV accounting against random users on a fake device: every invariant after every
// step, from printed seeds.
#include "tests/engine/simulation.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "tests/support/environment.h"

namespace bessemer {
namespace {

// BESSEMER_SIM_SEEDS=100000 soaks; BESSEMER_SIM_FIRST=1234 begins at a seed that failed.
TEST(Simulation, InvariantsHoldForEverySeed) {
  const uint64_t first = test::environment("BESSEMER_SIM_FIRST", 1);
  const uint64_t seeds = test::environment("BESSEMER_SIM_SEEDS", 700);
  uint64_t steps = 0, preemptions = 0, finished = 0, found = 0, asked = 0;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    Simulation simulation(seed);
    simulation.run(150);
    ASSERT_FALSE(simulation.complaint())
        << *simulation.complaint() << "\nagain: BESSEMER_SIM_FIRST=" << seed
        << " BESSEMER_SIM_SEEDS=1";
    steps += simulation.steps();
    preemptions += simulation.stats().preemptions;
    finished += simulation.stats().requests_finished;
    asked += simulation.stats().prefix_tokens_asked;
    found += simulation.stats().prefix_tokens_found;
  }
  fmt::print("{} steps, {} requests, {} preemptions, {} of {} prompt tokens found in the cache\n",
             steps, finished, preemptions, found, asked);
  if (seeds >= 700) {
    EXPECT_GE(steps, 100'000u);
    EXPECT_GE(preemptions, 1'000u);  // the pressure is real
    EXPECT_GE(found, asked / 20);    // and so is the sharing
  }
}

}  // namespace
}  // namespace bessemer
