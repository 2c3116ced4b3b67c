#include "router/cluster/step_slope.h"

#include <algorithm>

namespace bessemer {
namespace {

constexpr double kDecay = 0.99;  // a hundred steps: ten seconds of reports from a busy worker
// A line through numbers of sequences that differ less than this (variance) says nothing.
constexpr double kLeastSpread = 0.5;
// Until there is one: this many sequences double the time of a step. Between a CPU's 1 and a GPU's
// 300, and on the side where company is avoided.
constexpr double kPriorSequences = 8;

}  // namespace

void StepSlope::observe(int64_t sequences, double seconds) {
  if (sequences <= 0 || seconds <= 0) return;
  if (sequences == last_sequences_ && seconds == last_seconds_) return;  // a step between prompts
  last_sequences_ = sequences;
  last_seconds_ = seconds;
  const auto n = static_cast<double>(sequences);
  weight_ = weight_ * kDecay + 1;
  n_ = n_ * kDecay + n;
  t_ = t_ * kDecay + seconds;
  nn_ = nn_ * kDecay + n * n;
  nt_ = nt_ * kDecay + n * seconds;
}

double StepSlope::seconds() const {
  if (weight_ == 0) return 0;
  const double n = n_ / weight_, t = t_ / weight_;
  const double spread = nn_ / weight_ - n * n;
  if (spread < kLeastSpread) return t / (n + kPriorSequences);
  // Neither is company a gain, nor does all of a step's time come from it.
  return std::clamp((nt_ / weight_ - n * t) / spread, 0.0, t / n);
}

}  // namespace bessemer
