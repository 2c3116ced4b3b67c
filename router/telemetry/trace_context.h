// W3C Trace Context (https://www.w3.org/TR/trace-context/): where a request stands in a trace that
// may have begun elsewhere. Pure values.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/random.h"

namespace bessemer {

// Neither id is ever zero: the standard keeps zero for "none".
struct TraceContext {
  uint64_t trace_high = 0, trace_low = 0;
  uint64_t span = 0;     // whoever is named as the parent of what follows
  bool sampled = false;  // somebody wants to see it

  bool operator==(const TraceContext&) const = default;
};

// The header's value, strictly by section 3.2: lower-case hexadecimal of exactly these lengths, no
// zero ids, version ff refused; of a version that is newer than 00 only what 00 has is read.
// nullopt: the trace starts anew, as the standard asks.
std::optional<TraceContext> parse_traceparent(std::string_view header);

// "00-<32 digits>-<16 digits>-<01 or 00>": a traceparent, and (level 2 of the standard) a
// traceresponse.
std::string render_traceparent(const TraceContext& context);

// A root of its own; sampled with this probability.
TraceContext new_trace(Random& random, double sample_ratio);
uint64_t new_span_id(Random& random);

// 32 and 16 digits.
std::string trace_id_text(const TraceContext& context);
std::string span_id_text(uint64_t span);

}  // namespace bessemer
