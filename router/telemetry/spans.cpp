#include "router/telemetry/spans.h"

#include <algorithm>

namespace bessemer {
namespace {

constexpr int kServerErrors = 500;

class SpanMaker {
 public:
  SpanMaker(const RequestRecord& record, Random& random) : record_(record), random_(random) {}

  std::vector<Span> make() {
    add_request();
    const TimePoint received = record_.head().received;
    const auto prepared = record_.prepared_at(), first = record_.first_attempt_at();
    if (prepared) add("prepare", own_id(), received, *prepared);
    if (prepared && first) add("place", own_id(), *prepared, *first);
    for (const AttemptRecord& attempt : record_.attempts()) add_attempt(attempt);
    return std::move(spans_);
  }

 private:
  uint64_t own_id() const { return record_.head().trace->span; }

  Span& add(std::string name, uint64_t parent, TimePoint begin, TimePoint end) {
    Span& span = spans_.emplace_back();
    span.context = *record_.head().trace;
    span.context.span = new_span_id(random_);
    span.parent = parent;
    span.trace_state = record_.head().trace_state;
    span.name = std::move(name);
    span.begin_unix_ns = record_.unix_ns(begin);
    span.end_unix_ns = record_.unix_ns(end);
    return span;
  }

  void add_request() {
    const RecordHead& head = record_.head();
    const uint64_t parent = head.parent ? head.parent->span : 0;
    Span& span = add(head.method + " " + head.endpoint, parent, head.received, record_.ended_at());
    span.context.span = own_id();
    span.kind = SpanKind::server;
    span.failed = record_.status() >= kServerErrors;
    span.problem = record_.error_message();
    auto& out = span.attributes;
    out.emplace_back("http.request.method", head.method);
    out.emplace_back("http.route", head.endpoint);
    out.emplace_back("http.response.status_code", int64_t{record_.status()});
    out.emplace_back("bessemer.request_id", head.id);
    out.emplace_back("bessemer.front", head.front);
    if (!record_.error_type().empty()) out.emplace_back("error.type", record_.error_type());
    if (record_.model().empty()) return;
    out.emplace_back("gen_ai.request.model", record_.model());
    out.emplace_back("gen_ai.request.choice.count", int64_t{record_.choices()});
    out.emplace_back("gen_ai.usage.input_tokens", record_.tokens().prompt);
    out.emplace_back("gen_ai.usage.output_tokens", record_.tokens().completion);
    out.emplace_back("bessemer.cached_tokens", record_.tokens().cached);
    out.emplace_back("bessemer.attempts", static_cast<int64_t>(record_.attempt_count()));
    out.emplace_back("bessemer.bounces", int64_t{record_.bounces()});
    out.emplace_back("bessemer.resumes", int64_t{record_.resumes()});
  }

  void add_attempt(const AttemptRecord& attempt) {
    Span& span = add("attempt", own_id(), attempt.begin, *attempt.end);
    if (attempt.span != 0) span.context.span = attempt.span;
    const uint64_t id = span.context.span;
    span.kind = SpanKind::client;
    span.failed = attempt.problem.has_value();
    span.problem = attempt.problem.value_or("");
    auto& out = span.attributes;
    out.emplace_back("server.address", attempt.worker);
    out.emplace_back("bessemer.decision", attempt.decision);
    out.emplace_back("bessemer.epoch", int64_t{attempt.epoch});
    out.emplace_back("bessemer.prompt_tokens", attempt.prompt_tokens);
    out.emplace_back("bessemer.matched_tokens", attempt.matched_tokens);
    if (attempt.timing) add_worker(attempt, *attempt.timing, id);
  }

  // Clocks of two machines are never compared: the worker's time lies in the middle of the
  // attempt's, so that the way there took as long as the way back.
  void add_worker(const AttemptRecord& attempt, const WorkerTiming& timing, uint64_t parent) {
    using std::chrono::microseconds;
    const Duration around = *attempt.end - attempt.begin - microseconds(timing.total_us);
    const TimePoint begin = attempt.begin + std::max(around, Duration::zero()) / 2;
    const TimePoint end = begin + microseconds(timing.total_us);
    const TimePoint started = std::min(begin + microseconds(timing.queued_us), end);
    const TimePoint first = std::clamp(begin + microseconds(timing.first_token_us), started, end);
    add("queue", parent, begin, started);
    add("prefill", parent, started, first);
    Span& decode = add("decode", parent, first, end);
    decode.attributes.emplace_back("bessemer.preemptions", int64_t{timing.preemptions});
  }

  const RequestRecord& record_;
  Random& random_;
  std::vector<Span> spans_;
};

}  // namespace

std::vector<Span> spans_of(const RequestRecord& record, Random& random) {
  if (!record.head().trace) return {};
  return SpanMaker(record, random).make();
}

}  // namespace bessemer
