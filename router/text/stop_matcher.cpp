#include "router/text/stop_matcher.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace bessemer {

StopMatcher::StopMatcher(std::vector<std::string> stops, bool include) : include_(include) {
  for (std::string& text : stops) {
    CHECK(!text.empty());
    Stop stop{std::move(text), {0, 0}};
    // The borders come of matching the string against itself, one byte behind.
    for (size_t length = 1; length < stop.text.size(); ++length) {
      step(stop, stop.text[length]);
      stop.border.push_back(stop.matched);
    }
    stop.matched = 0;
    stops_.push_back(std::move(stop));
  }
}

void StopMatcher::step(Stop& stop, char byte) {
  while (stop.matched > 0 && stop.text[stop.matched] != byte)
    stop.matched = stop.border[stop.matched];
  if (stop.text[stop.matched] == byte) ++stop.matched;
}

int StopMatcher::complete() const {
  int best = -1;
  for (size_t i = 0; i < stops_.size(); ++i) {
    const Stop& stop = stops_[i];
    if (stop.matched < stop.text.size()) continue;
    if (best < 0 || stop.text.size() > stops_[static_cast<size_t>(best)].text.size()) {
      best = static_cast<int>(i);
    }
  }
  return best;
}

StopMatcher::Result StopMatcher::push(std::string_view text) {
  CHECK(!ended_);
  Result result{std::exchange(held_, {})};
  for (const char byte : text) {
    result.text.push_back(byte);
    for (Stop& stop : stops_) step(stop, byte);
    result.matched = complete();
    if (result.matched < 0) continue;
    ended_ = true;
    if (!include_) {
      result.text.resize(result.text.size() -
                         stops_[static_cast<size_t>(result.matched)].text.size());
    }
    return result;
  }
  uint32_t hold = 0;
  for (const Stop& stop : stops_) hold = std::max(hold, stop.matched);
  held_ = result.text.substr(result.text.size() - hold);
  result.text.resize(result.text.size() - hold);
  return result;
}

std::string StopMatcher::flush() {
  return std::exchange(held_, {});
}

}  // namespace bessemer
