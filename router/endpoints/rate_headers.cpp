#include "router/endpoints/rate_headers.h"

#include <algorithm>

#include <fmt/format.h>

namespace bessemer {
namespace {

void add(Exchange& exchange, const char* what, const RateState& state) {
  if (state.limit == 0) return;
  exchange.add_header(fmt::format("x-ratelimit-limit-{}", what), std::to_string(state.limit));
  exchange.add_header(fmt::format("x-ratelimit-remaining-{}", what), std::to_string(state.left));
  exchange.add_header(fmt::format("x-ratelimit-reset-{}", what), spell_duration(state.full_in));
}

}  // namespace

void add_rate_headers(Exchange& exchange, const RateStates& states) {
  add(exchange, "requests", states.requests);
  add(exchange, "tokens", states.tokens);
}

std::string spell_duration(Duration duration) {
  const int64_t ms = std::max<int64_t>(microseconds(duration) / 1000, 0);
  if (ms < 1000) return fmt::format("{}ms", ms);
  const int64_t minutes = ms / 60'000;
  if (minutes == 0) return fmt::format("{:g}s", static_cast<double>(ms) / 1000);
  const int64_t seconds = ms / 1000 % 60;
  if (minutes < 60) return fmt::format("{}m{}s", minutes, seconds);
  return fmt::format("{}h{}m{}s", minutes / 60, minutes % 60, seconds);
}

}  // namespace bessemer
