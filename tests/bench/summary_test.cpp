#include "bench/serve/summary.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bessemer::bench {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TimePoint at(int ms) {
  return TimePoint{} + std::chrono::milliseconds(1000 + ms);
}

// Due at `due`, sent 1 ms later, first text after `ttft`, `tokens` texts `gap` apart, all in ms.
Outcome answer(int due, int ttft, int tokens, int gap) {
  Outcome outcome;
  outcome.due = at(due);
  outcome.sent = at(due + 1);
  outcome.first_text = at(due + ttft);
  outcome.end = at(due + ttft + gap * (tokens - 1));
  outcome.gaps_ms.assign(static_cast<size_t>(tokens - 1), static_cast<float>(gap));
  outcome.counted = true;
  outcome.prompt_tokens = 100;
  outcome.cached_tokens = 40;
  outcome.output_tokens = outcome.asked_tokens = tokens;
  return outcome;
}

double figure(const Summary& summary, const std::string& name) {
  const auto found = std::ranges::find(summary.figures, name, &Figure::name);
  EXPECT_NE(found, summary.figures.end()) << name;
  return found == summary.figures.end() ? -1 : found->value;
}

bool has(const Summary& summary, const std::string& name) {
  return std::ranges::find(summary.figures, name, &Figure::name) != summary.figures.end();
}

TEST(Summary, RatesAndLatencies) {
  LoadResult result;
  result.outcomes = {answer(0, 100, 11, 10), answer(0, 300, 21, 20)};
  result.wall_s = 2;
  const Summary summary = summarise(result, Slo{});
  EXPECT_EQ(summary.answered, 2);
  EXPECT_DOUBLE_EQ(figure(summary, "output_tokens_per_s"), 16);
  EXPECT_DOUBLE_EQ(figure(summary, "total_tokens_per_s"), 116);
  EXPECT_DOUBLE_EQ(figure(summary, "requests_per_s"), 1);
  EXPECT_DOUBLE_EQ(figure(summary, "ttft_ms_mean"), 200);
  EXPECT_DOUBLE_EQ(figure(summary, "ttft_ms_p50"), 200);
  EXPECT_DOUBLE_EQ(figure(summary, "itl_ms_p50"), 20) << "of all gaps: 10 of 10 ms, 20 of 20 ms";
  EXPECT_NEAR(figure(summary, "itl_ms_mean"), 500.0 / 30, 1e-9);
  EXPECT_DOUBLE_EQ(figure(summary, "tpot_ms_mean"), 15) << "of answers";
  EXPECT_DOUBLE_EQ(figure(summary, "e2e_ms_mean"), (200 + 700) / 2.0);
  EXPECT_DOUBLE_EQ(figure(summary, "cached_tokens_each"), 40);
  EXPECT_DOUBLE_EQ(figure(summary, "sent_late_ms_p99"), 1);
  EXPECT_DOUBLE_EQ(figure(summary, "failed_requests"), 0);
  EXPECT_FALSE(has(summary, "good_requests_per_s")) << "no SLO, no goodput";
  EXPECT_FALSE(has(summary, "later_turns_ttft_ms_p50")) << "single turns";
}

TEST(Summary, GoodputCountsAnswersThatKeepBoth) {
  LoadResult result;
  result.outcomes = {answer(0, 100, 11, 10), answer(0, 300, 11, 10), answer(0, 100, 11, 30)};
  result.wall_s = 1;
  const auto good = [&](const Slo& slo) {
    return figure(summarise(result, slo), "good_requests_per_s");
  };
  EXPECT_EQ(good({.ttft_ms = 200}), 2);
  EXPECT_EQ(good({.itl_ms = 20}), 2);
  EXPECT_EQ(good({.ttft_ms = 200, .itl_ms = 20}), 1);
  EXPECT_EQ(good({.ttft_ms = 100, .itl_ms = 30}), 2) << "at most";
}

TEST(Summary, FailuresAreCountedByKindAndNeverTimed) {
  Outcome refused;
  refused.failure = Failure::status;
  refused.status = 503;
  refused.message = "loading";
  Outcome other = refused;
  other.status = 429;
  Outcome late;
  late.failure = Failure::timeout;
  Outcome lost;
  lost.failure = Failure::lost;
  LoadResult result;
  result.outcomes = {refused, refused, other, late, lost, answer(0, 10, 2, 5)};
  result.wall_s = 1;
  const Summary summary = summarise(result, Slo{});
  EXPECT_EQ(summary.requests, 6);
  EXPECT_EQ(summary.answered, 1);
  EXPECT_THAT(summary.failures, ElementsAre(Pair("lost", 1), Pair("status 429", 1),
                                            Pair("status 503", 2), Pair("timeout", 1)));
  EXPECT_EQ(summary.examples.size(), kMaxExamples);
  EXPECT_EQ(summary.examples[0], "status 503: loading");
  EXPECT_DOUBLE_EQ(figure(summary, "e2e_ms_p99"), 15);
  EXPECT_DOUBLE_EQ(figure(summary, "failed_requests"), 5);
}

TEST(Summary, OddAnswers) {
  Outcome silent = answer(0, 30, 1, 0);  // one token that has no text
  silent.first_text = TimePoint{};
  Outcome cut = answer(0, 10, 5, 1);
  cut.asked_tokens = 9;
  Outcome later = answer(100, 7, 3, 1);
  later.turn = 2;
  later.counted = false;
  LoadResult result;
  result.outcomes = {silent, cut, later};
  const Summary summary = summarise(result, Slo{});
  EXPECT_EQ(summary.short_answers, 1);
  EXPECT_FALSE(summary.counted);
  EXPECT_DOUBLE_EQ(figure(summary, "later_turns_ttft_ms_p50"), 7);
  EXPECT_DOUBLE_EQ(figure(summary, "requests_per_s"), 0) << "no wall time, no rate";
  EXPECT_DOUBLE_EQ(figure(summary, "ttft_ms_p99"), 10 + (30 - 10) * 0.98);
}

TEST(Summary, OfNothing) {
  const Summary summary = summarise(LoadResult{}, Slo{});
  EXPECT_EQ(summary.requests, 0);
  EXPECT_THAT(summary.failures, IsEmpty());
  EXPECT_FALSE(has(summary, "ttft_ms_p50"));
}

}  // namespace
}  // namespace bessemer::bench
