// Tells how far the weights are: a bar on a terminal, a line each few seconds elsewhere.
#pragma once
#include <cstdint>
#include <string>

#include "common/clock.h"

namespace bessemer {

class LoadProgress {
 public:
  explicit LoadProgress(std::string what);
  void show(uint64_t done_bytes, uint64_t total_bytes);
  void finish();

 private:
  const std::string what_;
  const bool terminal_;
  const TimePoint start_;
  TimePoint shown_;
  bool bar_drawn_ = false;
};

}  // namespace bessemer
