#include "tests/failover/disorder.h"

namespace bessemer {

bool DisorderTest::router_is_idle() {
  const auto state = parse(get("/bessemer/state").body);
  bool idle = state.at("router").at("waiting") == 0 && state.at("router").at("requests") == 1;
  for (const auto& worker : state.at("workers").as_array())
    idle = idle && worker.at("load").at("from_this_router") == 0;
  return idle;
}

bool DisorderTest::workers_are_idle() {
  for (const auto& worker : workers_) {
    const EngineStats stats = worker->engine().stats();
    if (worker->engine().live() != 0 || stats.kv_free + stats.kv_cached != stats.kv_total)
      return false;
  }
  return true;
}

void DisorderTest::expect_baseline() {
  EXPECT_TRUE(eventually([&] { return router_is_idle(); })) << get("/bessemer/state").body;
  EXPECT_TRUE(eventually([&] { return workers_are_idle(); }));
  for (const auto& worker : workers_) {
    worker->faults().hang = false;
    worker->faults().max_live = INT64_MAX;
  }
  EXPECT_TRUE(eventually([&] { return post("/v1/chat/completions", kChat).status == 200; }));
}

}  // namespace bessemer
