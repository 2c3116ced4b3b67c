// Scheduler and KV accounting against random users on a fake device: every invariant after every
// step, from printed seeds.
#include "tests/engine/simulation.h"

#include <cstdlib>

#include <gtest/gtest.h>

namespace bessemer {
namespace {

// BESSEMER_SIM_SEEDS=100000 soaks; BESSEMER_SIM_FIRST=1234 begins at a seed that failed.
uint64_t number_from(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(Simulation, InvariantsHoldForEverySeed) {
  const uint64_t first = number_from("BESSEMER_SIM_FIRST", 1);
  const uint64_t seeds = number_from("BESSEMER_SIM_SEEDS", 300);
  uint64_t steps = 0, preemptions = 0, finished = 0;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    Simulation simulation(seed);
    simulation.run(150);
    ASSERT_FALSE(simulation.complaint())
        << *simulation.complaint() << "\nagain: BESSEMER_SIM_FIRST=" << seed
        << " BESSEMER_SIM_SEEDS=1";
    steps += simulation.steps();
    preemptions += simulation.stats().preemptions;
    finished += simulation.stats().requests_finished;
  }
  std::printf("%llu steps, %llu requests, %llu preemptions\n",
              static_cast<unsigned long long>(steps), static_cast<unsigned long long>(finished),
              static_cast<unsigned long long>(preemptions));
  if (seeds >= 300) {
    EXPECT_GE(steps, 20'000u);
    EXPECT_GE(preemptions, 500u);  // the pressure is real
  }
}

}  // namespace
}  // namespace bessemer
