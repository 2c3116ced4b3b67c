// The spans of one request, for whoever collects traces: named and attributed as OpenTelemetry's
// semantic conventions ask (HTTP, generative AI), our own attributes as bessemer.*. Pure.
//
//   POST /v1/chat/completions            the request, from its last byte to the end of its answer
//     prepare                            parsing, template, tokens
//     place                              until the first attempt was sent
//     attempt                            one try on a worker
//       queue, prefill, decode           as the worker's own Timing tells them
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "router/telemetry/request_record.h"

namespace bessemer {

enum class SpanKind : uint8_t { internal = 1, server = 2, client = 3 };  // OTLP's numbers

using SpanValue = std::variant<int64_t, std::string>;

struct Span {
  TraceContext context;  // its trace and its own id
  uint64_t parent = 0;   // 0: a root
  std::string trace_state;
  std::string name;
  SpanKind kind = SpanKind::internal;
  int64_t begin_unix_ns = 0, end_unix_ns = 0;
  std::vector<std::pair<std::string, SpanValue>> attributes;
  bool failed = false;
  std::string problem;  // why
};

// Of a closed record that is part of a trace; `random` draws the ids that nobody else has heard of.
std::vector<Span> spans_of(const RequestRecord& record, Random& random);

}  // namespace bessemer
