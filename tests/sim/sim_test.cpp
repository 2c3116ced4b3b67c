// The simulator: its invariants over every policy and many shapes of cluster, and what routing must
// be good for. BESSEMER_SIM_SEEDS seeds from BESSEMER_SIM_FIRST on; a failing one is printed.
#include <algorithm>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/checkers/all.h"
#include "tests/sim/checkers/shares_evenly.h"
#include "tests/sim/figures.h"
#include "tests/support/environment.h"

namespace bessemer::sim {
namespace {

std::unique_ptr<Cluster> run(const ClusterOptions& options, const Workload& workload,
                             std::unique_ptr<Checker> also = nullptr) {
  auto cluster = Cluster::make(options, workload);
  CHECK(cluster.ok());
  add_checkers(**cluster);
  if (also) (*cluster)->add(std::move(also));
  (*cluster)->run();
  EXPECT_EQ((*cluster)->complaint(), "") << options.policy << ", seed " << options.seed;
  return std::move(*cluster);
}

// Small enough that caches overflow, choices are preempted and queues fill.
ClusterOptions random_options(Random& random) {
  ClusterOptions options;
  options.seed = random.next();
  options.workers = static_cast<int32_t>(random.between(1, 6));
  options.routers = static_cast<int32_t>(random.between(1, 3));
  const std::vector<std::string> names = contender_names();
  options.policy = names[random.below(names.size())];
  options.worker = worker_options(static_cast<int32_t>(random.between(140, 400)));
  options.worker.limits.slots = static_cast<int32_t>(random.between(2, 64));
  options.worker.engine.step_tokens = static_cast<int32_t>(random.between(64, 2048));
  options.worker.engine.max_waiting = static_cast<int32_t>(random.between(1, 16));
  options.worker.load_interval_ms = static_cast<uint32_t>(random.between(20, 1000));
  options.router.admission = random.chance(0.5);
  options.router.max_waiting = static_cast<int32_t>(random.between(0, 20));
  options.router.latency = std::chrono::microseconds(random.between(0, 5000));
  options.router.longest_wait = std::chrono::seconds(random.between(1, 30));
  options.retries = static_cast<int32_t>(random.between(0, 2));
  return options;
}

TEST(RoutingSim, KeepsItsInvariants) {
  const uint64_t first = test::environment("BESSEMER_SIM_FIRST", 1);
  const uint64_t seeds = test::environment("BESSEMER_SIM_SEEDS", 15);
  size_t answered = 0, refused = 0, bounced = 0, turned_away = 0, came_back = 0;
  for (uint64_t seed = first; seed < first + seeds && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const ClusterOptions options = random_options(random);
    TurnsOptions turns;
    turns.conversations = 40;
    turns.per_s = 0.5 + 8 * random.uniform();
    turns.seed = random.next();
    const Workload workload = turns_workload(turns);
    const auto cluster = run(options, workload);
    const Figures figures = figures_of(*cluster, {});
    answered += figures.answered;
    refused += figures.refused;
    bounced += figures.bounces > 0 ? 1 : 0;
    for (const Record& record : cluster->records()) {
      turned_away += record.retry_after_s >= 0 ? 1 : 0;
      came_back += record.retries > 0 && record.outcome == Outcome::answered ? 1 : 0;
    }
  }
  EXPECT_GT(answered, 40 * seeds) << "most turns are answered";
  EXPECT_GT(refused, 0u) << "some run must be overloaded, or the bounds were never met";
  EXPECT_GT(bounced, 0u);
  EXPECT_GT(turned_away, 0u) << "by a gate";
  EXPECT_GT(came_back, 0u);
}

TEST(RoutingSim, ASeedIsARun) {
  const Workload workload = turns_workload({.conversations = 30, .per_s = 2});
  const auto times = [&](uint64_t seed) {
    ClusterOptions options;
    options.worker = worker_options(300);
    options.seed = seed;
    std::vector<double> all;
    const auto cluster = run(options, workload);
    for (const Record& record : cluster->records()) all.push_back(record.first_s);
    return all;
  };
  EXPECT_EQ(times(1), times(1));
  EXPECT_NE(times(1), times(2)) << "ties are drawn";
}

TEST(RoutingSim, ALaterTurnFindsAllFullBlocksOfTheOneBefore) {
  const Workload workload = turns_workload({.conversations = 5, .per_s = 0.1, .document = 1});
  ClusterOptions options;
  options.workers = 1;
  options.worker = worker_options(4096);
  size_t later = 0;
  const auto cluster = run(options, workload);
  for (const Record& record : cluster->records()) {
    // What was said before is what is not fresh; the last token of an answer is never computed.
    const int32_t said = record.prompt - record.fresh;
    EXPECT_GE(record.cached, said - kBlockTokens);
    EXPECT_LE(record.cached, said);
    later += record.cached > 0 ? 1 : 0;
    EXPECT_LE(record.recomputed(), kBlockTokens);
  }
  EXPECT_GT(later, 10u);
}

// 400 prompts that have nothing in common, so fast that each report interval sees several.
Workload cold_burst() {
  bench::Trace trace;
  for (int i = 0; i < 400; ++i) trace.requests.push_back({i * 0.02, 4000, 50, {}});
  return workload_of(trace, "cold", {});
}

TEST(RoutingSim, NoHerdWhereLoadIsAllThatCounts) {
  const Workload workload = cold_burst();
  for (const std::string policy : {"least_loaded", "round_robin"}) {
    for (const int32_t routers : {1, 4}) {
      ClusterOptions options;
      options.policy = policy;
      options.routers = routers;
      options.worker = worker_options(1024);
      options.worker.engine.max_waiting = kNoQueueBound;
      run(options, workload, std::make_unique<SharesEvenly>(1.25));
    }
  }
}

// A policy that herds: everything to the first worker.
TEST(RoutingSim, TheCheckerOfSharesSeesAHerd) {
  const Workload workload = cold_burst();
  ClusterOptions options;
  options.workers = 1;
  options.worker = worker_options(1024);
  options.worker.engine.max_waiting = kNoQueueBound;
  const auto alone = run(options, workload, std::make_unique<SharesEvenly>(1.0));
  SharesEvenly checker(0.9);
  checker.on_idle(*alone);
  EXPECT_THAT(checker.complaint(), testing::HasSubstr("times the mean"));
}

// What a checker says of a good turn's record that `spoil` has changed.
template <typename Watcher, typename Spoil>
std::string complaint_of(const Cluster& cluster, Spoil&& spoil) {
  Watcher checker;
  Record record = cluster.records().front();
  spoil(record);
  checker.on_end(record, cluster);
  return checker.complaint();
}

TEST(RoutingSim, TheCheckerOfEndingsSeesWhatIsWrong) {
  const Workload workload = turns_workload({.conversations = 2});
  ClusterOptions options;
  options.worker = worker_options(300);
  const auto cluster = run(options, workload);
  const Record good = cluster->records().front();
  const auto complaint = [&](auto spoil) { return complaint_of<EndsOnce>(*cluster, spoil); };
  EXPECT_EQ(complaint([](Record&) {}), "");
  EXPECT_NE(complaint([](Record& record) { --record.received; }), "");
  EXPECT_NE(complaint([](Record& record) { record.out_of_order = 1; }), "");
  EXPECT_NE(complaint([](Record& record) { record.cached = record.prompt; }), "");
  EXPECT_NE(complaint([](Record& record) { record.outcome = Outcome::pending; }), "");
  EndsOnce twice;
  twice.on_end(good, *cluster);
  twice.on_end(good, *cluster);
  EXPECT_THAT(twice.complaint(), testing::HasSubstr("ended twice"));
}

TEST(RoutingSim, TheCheckerOfBoundsSeesWhatIsBeyondThem) {
  const Workload workload = turns_workload({.conversations = 2});
  ClusterOptions options;
  options.worker = worker_options(300);
  const auto cluster = run(options, workload);
  const auto complaint = [&](auto spoil) {
    return complaint_of<StaysWithinBounds>(*cluster, spoil);
  };
  EXPECT_EQ(complaint([](Record&) {}), "");
  EXPECT_NE(complaint([](Record& record) { record.bounces = 17; }), "");
}

// What holds when all is over cannot hold while prompts are computed.
class NotYetIdle final : public Checker {
 public:
  void on_tick(const Cluster& cluster) override {
    ReturnsToBaseline baseline;
    baseline.on_idle(cluster);
    pledged_ = pledged_ || baseline.complaint().find("pledges of") != std::string::npos;
    KnowsTheCaches caches;
    caches.on_idle(cluster);
    late_ = late_ || caches.complaint().find("blocks are known") != std::string::npos;
  }
  void on_idle(const Cluster&) override {
    expect(pledged_, "no pledge was seen");
    expect(late_, "no report was late");
  }

 private:
  bool pledged_ = false, late_ = false;
};

TEST(RoutingSim, TheCheckersOfTheEndSeeWhatIsUnderWay) {
  const Workload workload = turns_workload({.conversations = 20, .per_s = 2});
  ClusterOptions options;
  options.worker = worker_options(300);
  run(options, workload, std::make_unique<NotYetIdle>());
}

TEST(RoutingSim, AnOverloadedClusterRefusesAndRecovers) {
  const Workload workload = turns_workload({.conversations = 80, .per_s = 20, .document = 1});
  ClusterOptions options;
  options.workers = 2;
  options.worker = worker_options(400);
  options.worker.engine.max_waiting = 2;
  options.router.admission = true;
  const Figures figures = figures_of(*run(options, workload), {});
  EXPECT_GT(figures.refused, 0u);
  EXPECT_GT(figures.answered, 40u);
}

// For two minutes three times as many long prompts as two workers can compute.
Workload flood() {
  bench::Trace trace;
  for (int i = 0; i < 800; ++i) trace.requests.push_back({i * 0.15, 8000, 20, {}});
  return workload_of(trace, "flood", {});
}
ClusterOptions flooded(bool admission) {
  ClusterOptions options;
  options.policy = "cache_aware";
  options.workers = 2;
  options.worker = worker_options(1024);
  options.router.admission = admission;
  if (!admission) options.worker.engine.max_waiting = kNoQueueBound;
  return options;
}

TEST(RoutingSim, WhoPassesTheGateOfAnOverloadedClusterIsAnsweredInTime) {
  const Workload workload = flood();
  const Figures with = figures_of(*run(flooded(true), workload), {});
  const Figures without = figures_of(*run(flooded(false), workload), {});
  EXPECT_GT(with.answered, 250u);
  EXPECT_DOUBLE_EQ(with.goodput * 800, static_cast<double>(with.answered)) << "all in time";
  EXPECT_GE(with.goodput, 1.5 * without.goodput);
}

// A gate that is bounded by number alone lets in what will come too late.
TEST(RoutingSim, AGateWithoutABoundInTimeAnswersTooLate) {
  ClusterOptions options = flooded(true);
  options.router.longest_wait = std::chrono::hours(1);
  const Figures figures = figures_of(*run(options, flood()), {});
  EXPECT_LT(figures.goodput * 800, static_cast<double>(figures.answered) / 2);
}

TEST(RoutingSim, WhoComesBackWhenToldFindsAPlace) {
  ClusterOptions options = flooded(true);
  options.retries = 1;
  size_t back = 0, let_in = 0;
  const auto cluster = run(options, flood());
  for (const Record& record : cluster->records()) {
    back += record.retries > 0 ? 1 : 0;
    let_in += record.retries > 0 && record.outcome == Outcome::answered ? 1 : 0;
  }
  EXPECT_GT(back, 100u);
  EXPECT_GE(let_in, back * 9 / 10) << back;
}

// Looks where nobody keeps to grants.
class LooksAtGrants final : public Checker {
 public:
  void on_tick(const Cluster& cluster) override { grants_.look(cluster); }
  void on_idle(const Cluster&) override {
    expect(grants_.complaint().find("longer than grants allow") != std::string::npos,
           "no queue was too long");
  }

 private:
  KeepsToGrants grants_;
};

TEST(RoutingSim, TheCheckerOfGrantsSeesALongQueue) {
  run(flooded(false), flood(), std::make_unique<LooksAtGrants>());
}

// Means over two seeds, of one policy: ties are drawn, and one draw moves the mean by 3 %.
Figures figures_on(const std::string& policy, const bench::Trace& trace, double speed,
                   size_t requests) {
  std::vector<Figures> runs;
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    const Workload workload = workload_of(trace, "mooncake", {speed, requests, seed});
    ClusterOptions options;
    options.policy = policy;
    options.seed = seed;
    options.worker = worker_options(1024);
    options.worker.engine.max_waiting = kNoQueueBound;
    runs.push_back(figures_of(*run(options, workload), {}));
  }
  return mean_of(runs);
}

TEST(RoutingSim, CacheAwareAnswersFirstOnARecordedTrace) {
  const std::string file = "../shared/data/traces/mooncake_synthetic.jsonl";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is missing";
  const auto trace = bench::read_trace(file);
  ASSERT_TRUE(trace.ok()) << trace.status();
  const Figures ours = figures_on("cache_aware", *trace, 1.4, 800);
  EXPECT_GT(ours.goodput, 0.8);
  for (const std::string& rival : contender_names()) {
    if (rival == "cache_aware") continue;
    const Figures theirs = figures_on(rival, *trace, 1.4, 800);
    EXPECT_LT(ours.ttft_mean_s, theirs.ttft_mean_s) << rival;
    if (rival == "round_robin") {
      EXPECT_GT(ours.hit_rate, 1.2 * theirs.hit_rate);
      EXPECT_LT(ours.recomputed_mtok, 0.8 * theirs.recomputed_mtok);
    }
  }
}

}  // namespace
}  // namespace bessemer::sim
