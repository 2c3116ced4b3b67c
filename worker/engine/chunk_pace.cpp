#include "worker/engine/chunk_pace.h"

#include <algorithm>
#include <bit>

#include "worker/engine/running_mean.h"

namespace bessemer {
namespace {

constexpr double kMostStretch = 2;  // of a step without prompts, where that is long by itself
constexpr double kMostChange = 2;   // from one step to the next, and one kWholeRows besides
constexpr double kMeanWeight = 0.2;
// Steps of one size differ by a tenth or so, and what a client sees of one has waited for cores that
// the next step is busy on: aimed at less, hardly one exceeds the target there either.
constexpr double kAim = 0.7;

// What may be, after a step of `rows` that could have had `fitting`. A prompt's small rest says
// nothing of larger chunks, unless it was too much already.
double learn(double known, int32_t rows, double fitting) {
  return fitting < rows ? fitting : std::max(known, fitting);
}

size_t size_class(int32_t streams) {
  return static_cast<size_t>(std::bit_width(static_cast<uint32_t>(streams)) - 1);
}

}  // namespace

ChunkPace::ChunkPace(Duration step_time, int32_t most_rows)
    : step_us_(static_cast<double>(microseconds(step_time))), most_rows_(most_rows) {}

int32_t ChunkPace::rows(int32_t streams) const {
  if (step_us_ <= 0) return most_rows_;
  if (streams == 0) return lone_rows();
  const int32_t wanted = streams + std::max(static_cast<int32_t>(rows_), kLeastRows);
  int32_t whole = wanted / kWholeRows * kWholeRows;
  if (whole - streams < kLeastRows) whole += kWholeRows;
  return std::min(whole - streams, most_rows_);
}

int32_t ChunkPace::lone_rows() const {
  const auto fitting = static_cast<int32_t>(std::min<double>(lone_rows_, most_rows_));
  return std::min(std::max(fitting / kWholeRows * kWholeRows, kLeastLoneRows), most_rows_);
}

double ChunkPace::room(int32_t streams, double us) const {
  const double undisturbed = undisturbed_us_[size_class(streams)];
  const double target = kAim * std::max(step_us_, kMostStretch * undisturbed);
  const double own = std::min(undisturbed, 0.9 * us);  // the step may have been a fast one
  return std::max((target - own) / (us - own), 1 / kMostChange);
}

void ChunkPace::measure(int32_t streams, int32_t prompt_rows, Duration time) {
  const double us = std::max(1.0, static_cast<double>(microseconds(time)));
  if (prompt_rows == 0) {
    if (streams == 0) return;
    double& mean = undisturbed_us_[size_class(streams)];
    mean = take_into_mean(mean, us, kMeanWeight);
  } else if (streams == 0) {
    if (rows_ == 0) rows_ = prompt_rows * step_us_ / us;
    const double fitting = kAim * prompt_rows * static_cast<double>(microseconds(kLoneStep)) / us;
    lone_rows_ = learn(lone_rows_, prompt_rows, std::min(fitting, kMostChange * prompt_rows));
  } else {
    const double most = std::min<double>(kMostChange * prompt_rows + kWholeRows, most_rows_);
    const double fitting = std::min(prompt_rows * room(streams, us), most);
    rows_ = learn(rows_, prompt_rows, fitting);
  }
}

}  // namespace bessemer
