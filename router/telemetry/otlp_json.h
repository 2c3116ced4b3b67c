// Spans -> the body of an OTLP/HTTP request (opentelemetry-proto, ExportTraceServiceRequest in its
// JSON form: ids in hexadecimal, 64-bit integers as strings). Pure.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "router/telemetry/spans.h"

namespace bessemer {

// Who sends them.
struct OtlpResource {
  std::string service = "bessemer-router";
  std::string version, instance, host;
};

std::string render_otlp(const OtlpResource& resource, std::span<const Span> spans);

// Spans that the collector says it has not taken (partial_success); 0 for an answer without.
int64_t rejected_spans(std::string_view response_body);

}  // namespace bessemer
