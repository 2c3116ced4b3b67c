#include "router/cluster/stuck_detector.h"

#include <algorithm>

namespace bessemer {
namespace {

constexpr int kSteps = 20;
// Rows of one step: a worker's own bound is not known here; 4,096 is above the usual ones.
constexpr double kMostStepTokens = 4096;
constexpr double kSlowerThanMeasured = 4;  // beside other work, or in its first step
// Before a worker has measured its steps, and at most: what a first pass over weights on a slow disk
// may take.
constexpr Duration kMostPatience = std::chrono::seconds(30);

}  // namespace

Duration StuckDetector::patience(const Word& word, Duration least) {
  if (word.step_us == 0) return std::max(least, kMostPatience);
  Duration patience = kSteps * std::chrono::microseconds(word.step_us);
  if (word.prefill_tok_s > 0) {
    const double tokens = std::min(static_cast<double>(word.backlog_tokens), kMostStepTokens);
    const double seconds =
        std::min(kSlowerThanMeasured * tokens / static_cast<double>(word.prefill_tok_s),
                 std::chrono::duration<double>(kMostPatience).count());
    patience = std::max(
        patience, std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds)));
  }
  return std::max(least, std::min(patience, kMostPatience));
}

bool StuckDetector::hear(const Word& word, TimePoint now) {
  if (word.steps < steps_) return false;  // D4
  const bool before = stuck_;
  if (!word.work_pending || word.steps > steps_) {
    steps_ = word.steps;
    words_ = 0;
    stuck_ = false;
  }
  if (!word.work_pending) return before;
  if (words_++ == 0) first_ = now;
  if (words_ >= kFewestWords && now - first_ >= patience(word, least_patience_)) stuck_ = true;
  return stuck_ != before;
}

}  // namespace bessemer
