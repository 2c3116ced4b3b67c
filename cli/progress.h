// A progress line for anything longer than a second: redrawn on a terminal, one line each tenth
// elsewhere.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace bessemer {

class ProgressLine {
 public:
  // `total` bytes; 0: unknown.
  ProgressLine(std::string what, uint64_t total, bool terminal);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void update(uint64_t done);
  // Draws the last state and ends the line; called by the destructor too.
  void finish();

 private:
  void draw(uint64_t done);

  std::string what_;
  uint64_t total_, done_ = 0, start_ = 0;
  bool terminal_, finished_ = false, started_ = false;
  int last_tenth_ = -1;
  std::chrono::steady_clock::time_point begun_, drawn_;
};

// "98.4 MB"
std::string human_bytes(uint64_t bytes);

}  // namespace bessemer
