#include "router/telemetry/otlp_json.h"

#include <algorithm>
#include <charconv>

#include "common/json.h"
#include "router/openai/json_text.h"

namespace bessemer {
namespace {

constexpr int kStatusError = 2;

void append_attribute(std::string& out, std::string_view key, const SpanValue& value) {
  if (out.back() != '[') out += ',';
  out += R"({"key":)";
  append_json_string(out, key);
  if (const auto* integer = std::get_if<int64_t>(&value)) {
    out += R"(,"value":{"intValue":")" + std::to_string(*integer) + "\"}}";
    return;
  }
  out += R"(,"value":{"stringValue":)";
  append_json_string(out, std::get<std::string>(value));
  out += "}}";
}

void append_resource(std::string& out, const OtlpResource& resource) {
  out += R"("resource":{"attributes":[)";
  append_attribute(out, "service.name", resource.service);
  append_attribute(out, "service.version", resource.version);
  append_attribute(out, "service.instance.id", resource.instance);
  append_attribute(out, "host.name", resource.host);
  out += "]}";
}

void append_span(std::string& out, const Span& span) {
  if (out.back() != '[') out += ',';
  out += R"({"traceId":")" + trace_id_text(span.context);
  out += R"(","spanId":")" + span_id_text(span.context.span);
  if (span.parent != 0) out += R"(","parentSpanId":")" + span_id_text(span.parent);
  out += R"(","name":)";
  append_json_string(out, span.name);
  if (!span.trace_state.empty()) {
    out += R"(,"traceState":)";
    append_json_string(out, span.trace_state);
  }
  out += R"(,"kind":)" + std::to_string(static_cast<int>(span.kind));
  out += R"(,"startTimeUnixNano":")" + std::to_string(span.begin_unix_ns);
  out += R"(","endTimeUnixNano":")" + std::to_string(span.end_unix_ns);
  out += R"(","attributes":[)";
  for (const auto& [key, value] : span.attributes) append_attribute(out, key, value);
  out += ']';
  if (span.failed) {
    out += R"(,"status":{"code":)" + std::to_string(kStatusError) + R"(,"message":)";
    append_json_string(out, span.problem);
    out += '}';
  }
  out += '}';
}

}  // namespace

std::string render_otlp(const OtlpResource& resource, std::span<const Span> spans) {
  std::string out = R"({"resourceSpans":[{)";
  append_resource(out, resource);
  out += R"(,"scopeSpans":[{"scope":{"name":"bessemer.router","version":)";
  append_json_string(out, resource.version);
  out += R"(},"spans":[)";
  for (const Span& span : spans) append_span(out, span);
  out += "]}]}]}";
  return out;
}

int64_t rejected_spans(std::string_view response_body) {
  const auto parsed = parse_json(response_body);
  if (!parsed.ok() || !parsed->is_object()) return 0;
  const json::value* partial = parsed->get_object().if_contains("partialSuccess");
  if (partial == nullptr || !partial->is_object()) return 0;
  const json::value* count = partial->get_object().if_contains("rejectedSpans");
  if (count == nullptr) return 0;
  if (count->is_int64()) return std::max<int64_t>(count->get_int64(), 0);
  if (!count->is_string()) return 0;
  int64_t value = 0;
  const auto& text = count->get_string();
  std::from_chars(text.data(), text.data() + text.size(), value);
  return std::max<int64_t>(value, 0);
}

}  // namespace bessemer
