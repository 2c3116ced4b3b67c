#include "router/routing/cost.h"

#include <algorithm>
#include <cmath>

namespace bessemer {
namespace {

constexpr double kUnknownPrefillTokensPerSecond = 500;
constexpr double kUnknownSlopeSeconds = 0.001;  // per step and sequence
constexpr double kTieSeconds = 0.002;
constexpr double kTieShare = 0.02;

}  // namespace

void assume_speeds(std::span<Candidate> candidates) {
  float speed = 0, slope = std::numeric_limits<float>::infinity();
  for (const Candidate& one : candidates) {
    speed = std::max(speed, one.reading.prefill_tok_s);
    if (one.reading.step_slope_s > 0) slope = std::min(slope, one.reading.step_slope_s);
  }
  for (Candidate& one : candidates) {
    if (one.reading.prefill_tok_s <= 0) one.reading.prefill_tok_s = speed;
    if (one.reading.step_slope_s <= 0 && std::isfinite(slope)) one.reading.step_slope_s = slope;
  }
}

double prefill_speed(const Candidate& candidate) {
  const double measured = candidate.reading.prefill_tok_s;
  return measured > 0 ? measured : kUnknownPrefillTokensPerSecond;
}

double prefill_seconds(const Candidate& candidate, int64_t tokens) {
  return static_cast<double>(tokens) / prefill_speed(candidate);
}

double queue_seconds(const Candidate& candidate) {
  return prefill_seconds(candidate, candidate.backlog_tokens);
}

int64_t missing_tokens(const Candidate& candidate, const PlacementInput& input) {
  return std::max<int64_t>(input.prompt_tokens - candidate.matched_tokens, 0);
}

double ttft_seconds(const Candidate& candidate, const PlacementInput& input) {
  return queue_seconds(candidate) + prefill_seconds(candidate, missing_tokens(candidate, input));
}

double company_seconds(const Candidate& candidate, double steps) {
  const double slope =
      candidate.reading.step_slope_s > 0 ? candidate.reading.step_slope_s : kUnknownSlopeSeconds;
  return static_cast<double>(candidate.sequences) * slope * steps;
}

double tie_limit(double least) {
  return least + std::max(kTieSeconds, least * kTieShare);
}

size_t least(std::span<const double> costs) {
  return static_cast<size_t>(std::ranges::min_element(costs) - costs.begin());
}

double least_but(std::span<const double> costs, size_t but) {
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < costs.size(); i++) {
    if (i != but) least = std::min(least, costs[i]);
  }
  return least;
}

size_t drawn_tie(std::span<const double> costs, double best, Random& random) {
  const double limit = tie_limit(best);
  const auto ties =
      static_cast<uint64_t>(std::ranges::count_if(costs, [&](double one) { return one <= limit; }));
  uint64_t pick = random.below(ties);
  for (size_t i = 0; i < costs.size(); i++) {
    if (costs[i] <= limit && pick-- == 0) return i;
  }
  return 0;
}

}  // namespace bessemer
