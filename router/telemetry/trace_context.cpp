#include "router/telemetry/trace_context.h"

#include <fmt/format.h>

namespace bessemer {
namespace {

constexpr size_t kVersionAt = 0, kTraceAt = 3, kSpanAt = 36, kFlagsAt = 53;
constexpr size_t kLength = 55;  // of version 00
constexpr uint64_t kSampledFlag = 1;

// `digits` lower-case hexadecimal digits at `at`; at most 16.
std::optional<uint64_t> hex_at(std::string_view text, size_t at, size_t digits) {
  uint64_t value = 0;
  for (const char c : text.substr(at, digits)) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && !(c >= 'a' && c <= 'f')) return std::nullopt;
    value = value * 16 + static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return value;
}

bool dashes_are_in_place(std::string_view header) {
  return header[kTraceAt - 1] == '-' && header[kSpanAt - 1] == '-' && header[kFlagsAt - 1] == '-';
}

}  // namespace

std::optional<TraceContext> parse_traceparent(std::string_view header) {
  if (header.size() < kLength || !dashes_are_in_place(header)) return std::nullopt;
  const auto version = hex_at(header, kVersionAt, 2);
  if (!version || *version == 0xff) return std::nullopt;
  if (*version == 0 && header.size() != kLength) return std::nullopt;
  if (header.size() > kLength && header[kLength] != '-') return std::nullopt;
  const auto high = hex_at(header, kTraceAt, 16), low = hex_at(header, kTraceAt + 16, 16);
  const auto span = hex_at(header, kSpanAt, 16), flags = hex_at(header, kFlagsAt, 2);
  if (!high || !low || !span || !flags) return std::nullopt;
  if ((*high == 0 && *low == 0) || *span == 0) return std::nullopt;
  return TraceContext{*high, *low, *span, (*flags & kSampledFlag) != 0};
}

std::string render_traceparent(const TraceContext& context) {
  return fmt::format("00-{:016x}{:016x}-{:016x}-{:02x}", context.trace_high, context.trace_low,
                     context.span, context.sampled ? 1 : 0);
}

TraceContext new_trace(Random& random, double sample_ratio) {
  TraceContext context;
  context.trace_high = random.next();
  context.trace_low = new_span_id(random);  // not zero, so the whole is not
  context.span = new_span_id(random);
  context.sampled = random.chance(sample_ratio);
  return context;
}

uint64_t new_span_id(Random& random) {
  while (true) {
    if (const uint64_t id = random.next(); id != 0) return id;
  }
}

std::string trace_id_text(const TraceContext& context) {
  return fmt::format("{:016x}{:016x}", context.trace_high, context.trace_low);
}

std::string span_id_text(uint64_t span) {
  return fmt::format("{:016x}", span);
}

}  // namespace bessemer
