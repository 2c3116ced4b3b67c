#include "bench/serve/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/serve/report.h"

namespace bessemer::bench {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::vector<Figure>> runs_of(const std::string& name, Better better,
                                         const std::vector<double>& values) {
  std::vector<std::vector<Figure>> runs;
  for (const double value : values) runs.push_back({{name, value, better}});
  return runs;
}

Compared compared(Better better, const std::vector<double>& a, const std::vector<double>& b) {
  return compare(runs_of("x", better, a), runs_of("x", better, b)).front();
}

TEST(Compare, TheBetterServerIsAboveOne) {
  EXPECT_DOUBLE_EQ(compared(Better::more, {30}, {10}).ratio, 3);
  EXPECT_DOUBLE_EQ(compared(Better::less, {10}, {30}).ratio, 3);
  EXPECT_DOUBLE_EQ(compared(Better::less, {30}, {10}).ratio, 1.0 / 3);
  EXPECT_EQ(compared(Better::neither, {30}, {10}).ratio, 0);
}

// A host that slows down to a half: each side's median lies, the pairs do not.
TEST(Compare, PairsOutliveADriftingHost) {
  const Compared row = compared(Better::more, {100, 100, 50, 50, 50}, {50, 50, 50, 25, 25});
  EXPECT_DOUBLE_EQ(row.a, 50);
  EXPECT_DOUBLE_EQ(row.b, 50);
  EXPECT_DOUBLE_EQ(row.ratio, 2);
  EXPECT_DOUBLE_EQ(row.least, 1);
  EXPECT_DOUBLE_EQ(row.most, 2);
}

TEST(Compare, WhatIsMissingIsNotCompared) {
  EXPECT_EQ(compared(Better::more, {5}, {0}).ratio, 0);
  EXPECT_DOUBLE_EQ(compared(Better::more, {5, 6}, {0, 3}).ratio, 2);
  EXPECT_EQ(compare(runs_of("x", Better::more, {5}), runs_of("y", Better::more, {5})).front().ratio,
            0);
  EXPECT_EQ(compare(runs_of("x", Better::more, {5, 7}), {}).front().a, 6);
  EXPECT_THAT(compare({}, {}), IsEmpty());
}

CampaignResult two_servers() {
  CampaignResult result;
  result.servers = {{"A", "http://a", "ours 1", "m"}, {"B", "http://b", "theirs 2", "m"}};
  for (const char* server : {"A", "B"}) {
    PhaseRun run{.server = server, .repeat = 0, .phase = "fixed", .summary = {}};
    run.summary.requests = 4;
    run.summary.answered = 3;
    run.summary.failures = {{"timeout", 1}};
    run.summary.examples = {"timeout: no whole answer in 1 s"};
    run.summary.figures = {{"requests_per_s", server[0] == 'A' ? 6.0 : 2.0, Better::more}};
    result.runs.push_back(run);
  }
  return result;
}

TEST(Report, NamesEverythingThatAReaderNeeds) {
  const ReportHead head{.title = "serve: fixed",
                        .commit = "abc",
                        .command = "bench",
                        .seed = 7,
                        .time = 1,
                        .host = {.cpu = "Example", .features = {"avx2"}, .processors = 2}};
  const std::string text = table(head, two_servers());
  for (const char* part : {"serve: fixed", "Example", "avx2", "seed 7", "ours 1", "theirs 2",
                           "http://b", "requests_per_s", "3.00x", "timeout"})
    EXPECT_THAT(text, HasSubstr(part));
  const json::object document = to_json(head, two_servers());
  EXPECT_EQ(document.at("seed").as_uint64(), 7u);
  EXPECT_EQ(document.at("runs").as_array().size(), 2u);
  const json::object& row =
      document.at("phases").as_array()[0].at("figures").as_array()[0].as_object();
  EXPECT_DOUBLE_EQ(row.at("ratio").as_double(), 3);
}

TEST(Report, OfOneServerHasNoRatios) {
  CampaignResult result = two_servers();
  result.servers.pop_back();
  result.runs.pop_back();
  result.runs[0].summary.failures.clear();
  result.runs[0].summary.examples.clear();
  const std::string text = table(ReportHead{}, result);
  EXPECT_THAT(text, Not(HasSubstr("better")));
  EXPECT_THAT(text, Not(HasSubstr("Troubles")));
}

}  // namespace
}  // namespace bessemer::bench
