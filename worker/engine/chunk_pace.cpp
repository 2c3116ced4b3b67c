#include "worker/engine/chunk_pace.h"

#include <algorithm>
#include <bit>

#include "worker/engine/running_mean.h"

namespace bessemer {
namespace {

constexpr double kMostStretch = 2;  // of a step without prompts, where that is long by itself
constexpr double kMostChange = 2;   // from one step to the next
constexpr double kMeanWeight = 0.2;
// Steps of one size differ by a tenth or so, and a client sees the way to it besides.
constexpr double kAim = 0.8;

size_t size_class(int32_t streams) {
  return static_cast<size_t>(std::bit_width(static_cast<uint32_t>(streams)) - 1);
}

}  // namespace

ChunkPace::ChunkPace(Duration step_time, int32_t most_rows)
    : step_us_(static_cast<double>(microseconds(step_time))), most_rows_(most_rows) {}

double ChunkPace::target_us(int32_t streams) const {
  return kAim * std::max(step_us_, kMostStretch * undisturbed_us_[size_class(streams)]);
}

int32_t ChunkPace::rows() const {
  if (step_us_ <= 0) return most_rows_;
  return std::clamp(static_cast<int32_t>(rows_), std::min(kLeastRows, most_rows_), most_rows_);
}

void ChunkPace::scale(double by) {
  rows_ = std::clamp(rows_ * std::clamp(by, 1 / kMostChange, kMostChange),
                     static_cast<double>(kLeastRows), static_cast<double>(most_rows_));
}

void ChunkPace::measure(int32_t streams, int32_t prompt_rows, Duration time) {
  const double us = std::max(1.0, static_cast<double>(microseconds(time)));
  if (prompt_rows == 0) {
    if (streams == 0) return;
    double& mean = undisturbed_us_[size_class(streams)];
    mean = take_into_mean(mean, us, kMeanWeight);
  } else if (streams == 0) {
    if (rows_ == 0) rows_ = prompt_rows * step_us_ / us;
  } else if (const double by = target_us(streams) / us; by < 1 || prompt_rows >= rows_ / 2) {
    // A prompt's small rest says nothing of larger chunks, unless it was too much already.
    scale(by);
  }
}

}  // namespace bessemer
