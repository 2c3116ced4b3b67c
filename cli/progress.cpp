#include "cli/progress.h"

#include <cstdio>

#include <fmt/format.h>

namespace bessemer {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr int kBarWidth = 30;

}  // namespace

std::string human_bytes(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1000 && unit < 4) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

ProgressLine::ProgressLine(std::string what, uint64_t total, bool terminal)
    : what_(std::move(what)), total_(total), terminal_(terminal), begun_(Clock::now()) {}

ProgressLine::~ProgressLine() {
  finish();
}

void ProgressLine::update(uint64_t done) {
  if (!started_) {
    started_ = true;
    start_ = done;  // a resumed download did not move these bytes
  }
  done_ = done;
  const auto now = Clock::now();
  if (terminal_) {
    if (now - drawn_ < kRedraw) return;
    drawn_ = now;
    draw(done);
    return;
  }
  const int tenth = total_ == 0 ? -1 : static_cast<int>(done * 10 / total_);
  if (tenth == last_tenth_) return;
  last_tenth_ = tenth;
  draw(done);
}

void ProgressLine::finish() {
  if (finished_) return;
  finished_ = true;
  if (!started_ || !terminal_) return;
  draw(done_);
  std::fputc('\n', stderr);
}

void ProgressLine::draw(uint64_t done) {
  const double seconds = std::chrono::duration<double>(Clock::now() - begun_).count();
  const uint64_t moved = done - start_;
  const auto rate = static_cast<uint64_t>(seconds > 0 ? static_cast<double>(moved) / seconds : 0);
  std::string line = what_;
  if (total_ > 0) {
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
    if (terminal_) {
      const int full = static_cast<int>(share * kBarWidth);
      line += fmt::format(" [{}{}]", std::string(static_cast<size_t>(full), '#'),
                          std::string(static_cast<size_t>(kBarWidth - full), '.'));
    }
    line += fmt::format(" {:3.0f} % of {}", share * 100, human_bytes(total_));
  } else {
    line += " " + human_bytes(done);
  }
  if (seconds > 0.5) line += fmt::format(", {}/s", human_bytes(rate));
  std::fprintf(stderr, terminal_ ? "\r%s\x1b[K" : "%s\n", line.c_str());
  std::fflush(stderr);
}

}  // namespace bessemer
