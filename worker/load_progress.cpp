#include "worker/load_progress.h"

#include <cstdio>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "common/log.h"

namespace bessemer {
namespace {

// Nobody needs to be told of what takes less.
constexpr auto kQuiet = std::chrono::milliseconds(500);
constexpr auto kBarInterval = std::chrono::milliseconds(100);
constexpr auto kLineInterval = std::chrono::seconds(2);
constexpr int kBarWidth = 32;

}  // namespace

LoadProgress::LoadProgress(std::string what)
    : what_(std::move(what)),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(SteadyClock().now()),
      shown_(start_) {}

void LoadProgress::show(uint64_t done_bytes, uint64_t total_bytes) {
  const TimePoint now = SteadyClock().now();
  const Duration interval = terminal_ ? Duration(kBarInterval) : Duration(kLineInterval);
  if (now - start_ < kQuiet || now - shown_ < interval || total_bytes == 0) return;
  shown_ = now;
  const double share = static_cast<double>(done_bytes) / static_cast<double>(total_bytes);
  if (!terminal_) {
    log().info("loading {}: {:.0f} %", what_, share * 100);
    return;
  }
  const int filled = static_cast<int>(share * kBarWidth);
  const std::string bar = fmt::format("{:#<{}}{:.<{}}", "", filled, "", kBarWidth - filled);
  std::fprintf(stderr, "\r%s [%s] %3.0f %%", what_.c_str(), bar.c_str(), share * 100);
  std::fflush(stderr);
  bar_drawn_ = true;
}

void LoadProgress::finish() {
  if (bar_drawn_) std::fprintf(stderr, "\n");
  log().info("loaded {} in {} ms", what_, microseconds(SteadyClock().now() - start_) / 1000);
}

}  // namespace bessemer
