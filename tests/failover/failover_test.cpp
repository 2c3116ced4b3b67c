// Some hundreds of streams over workers that fail in every way there is: each client gets every
// token of its answer once. `make failover` has the long form.
#include <gtest/gtest.h>

#include "common/log.h"
#include "tests/failover/campaign.h"
#include "tests/failover/own_network.h"
#include "tests/failover/process_victim.h"

namespace bessemer::failover {
namespace {

CampaignOptions small_campaign(Place place, std::vector<FaultKind> kinds) {
  CampaignOptions options;
  options.place = place;
  options.workers = 8;
  options.faults.kinds = std::move(kinds);
  options.clients.streams = 200;
  options.clients.concurrency = 64;
  return options;
}

void expect_good(const CampaignOptions& options) {
  log().set_level(LogLevel::off);
  const auto report = run_campaign(options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->good()) << "seed " << options.faults.seed << ", " << describe(*report);
}

TEST(Failover, WithoutFaultsEveryStreamIsRight) {
  CampaignOptions options = small_campaign(Place::in_process, {});
  options.faults.sick_share = 0;
  expect_good(options);
}

TEST(Failover, WorkersThatDie) {
  expect_good(small_campaign(Place::in_process, {FaultKind::crash, FaultKind::sever}));
}

TEST(Failover, WorkersThatStall) {
  expect_good(
      small_campaign(Place::in_process, {FaultKind::hang, FaultKind::freeze, FaultKind::slow}));
}

TEST(Failover, FramesThatAreLostRepeatedReorderedAndLate) {
  expect_good(small_campaign(Place::in_process, {FaultKind::drop, FaultKind::duplicate,
                                                 FaultKind::reorder, FaultKind::delay}));
}

TEST(Failover, WorkersThatLieAboutTheirLoad) {
  expect_good(small_campaign(Place::in_process, {FaultKind::lie_idle, FaultKind::lie_full}));
}

TEST(Failover, ProcessesThatAreKilledAndStopped) {
  expect_good(small_campaign(Place::processes, {}));
}

TEST(Failover, NetworksThatAreCutSilentAndSlow) {
  expect_good(small_campaign(Place::behind_wires, {}));
}

TEST(Failover, NetworksThatSwallowPackets) {
  if (!can_have_own_network()) GTEST_SKIP() << "no network of our own: unshare -rn fails here";
  EXPECT_EQ(run_in_own_network({BESSEMER_FAILOVER, "--place", "behind-routes", "--streams", "200",
                                "--workers", "8"}),
            0);
}

}  // namespace
}  // namespace bessemer::failover

int main(int argc, char** argv) {
  if (bessemer::failover::is_mock_command(argc, argv))
    return bessemer::failover::run_mock_command(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
