// A router over mock workers among clients that misbehave, and what must be so again when they have
// gone.
#pragma once
#include <thread>

#include "common/random.h"
#include "tests/router/router_fixture.h"

namespace bessemer {

class DisorderTest : public RouterTest {
 protected:
  void begin() {
    for (int i = 0; i < 2; i++) add_worker();
    start();
  }
  // In either of the two ways in which a client goes.
  static void hang_up(HttpClient& client, Random& random) {
    if (random.chance(0.5)) {
      client.half_close();
      client.read_all();  // until the router has closed its side
    }
    client.close();
  }
  static void pause(Random& random, int64_t most_ms) {
    std::this_thread::sleep_for(std::chrono::microseconds(random.between(0, 1000 * most_ms)));
  }
  // Nothing is live, waits or is counted as sent: this request alone.
  bool router_is_idle();
  // No attempt, and every block is free or only cached.
  bool workers_are_idle();
  // Both, soon; no worker complains; and a request is answered.
  void expect_baseline();
};

}  // namespace bessemer
