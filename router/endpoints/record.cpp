#include "router/endpoints/record.h"

#include <chrono>

#include "router/telemetry/access_line.h"

namespace bessemer {
namespace {

constexpr size_t kMaxTraceState = 512;  // bytes: what the standard asks everybody to pass on

// The only header of that name; nullptr where there is none, or more than one.
const std::string* single_header(const HttpRequest& request, std::string_view name) {
  const std::string* found = nullptr;
  for (const auto& [key, value] : request.headers) {
    if (key != name) continue;
    if (found != nullptr) return nullptr;
    found = &value;
  }
  return found;
}

void join_trace(const RouterContext& router, CoreContext& core, const HttpRequest& request,
                RecordHead& head) {
  if (const std::string* header = single_header(request, "traceparent"))
    head.parent = parse_traceparent(*header);
  if (head.parent) {
    head.trace = head.parent;
    head.trace->span = new_span_id(core.random);
    const std::string* state = single_header(request, "tracestate");
    if (state != nullptr && state->size() <= kMaxTraceState) head.trace_state = *state;
  } else if (router.exporter != nullptr) {
    head.trace = new_trace(core.random, core.settings.trace_sample_ratio);
  }
}

}  // namespace

std::shared_ptr<RequestRecord> begin_record(const RouterContext& router, CoreContext& core,
                                            Exchange& exchange, std::string_view front,
                                            std::string_view endpoint) {
  const HttpRequest& request = exchange.request();
  RecordHead head;
  head.id = request.id;
  head.front = front;
  head.method = request.method;
  head.endpoint = endpoint;
  head.received = request.received;
  const Duration ago = std::chrono::steady_clock::now() - request.received;
  head.received_unix_ns = (std::chrono::system_clock::now().time_since_epoch() - ago).count();
  join_trace(router, core, request, head);
  if (head.trace) exchange.add_header("traceresponse", render_traceparent(*head.trace));
  return std::make_shared<RequestRecord>(std::move(head));
}

void write_down_refusal(const RouterContext& router, std::string_view front,
                        const ApiError& error) {
  if (router.access_log == nullptr) return;
  RecordHead head;
  head.front = front;
  head.endpoint = "none";
  head.received = std::chrono::steady_clock::now();
  head.received_unix_ns = std::chrono::system_clock::now().time_since_epoch().count();
  RequestRecord record(std::move(head));
  record.failed(error.type, error.code.value_or(""), error.message);
  write_down(router, record, error.status, {});
}

void write_down(const RouterContext& router, RequestRecord& record, int status,
                const RecordedTokens& tokens) {
  record.close(status, tokens, std::chrono::steady_clock::now());
  if (router.access_log != nullptr) router.access_log->write(access_line(record));
  const auto& trace = record.head().trace;
  if (router.exporter != nullptr && trace && trace->sampled)
    router.exporter->push(std::move(record));
}

}  // namespace bessemer
