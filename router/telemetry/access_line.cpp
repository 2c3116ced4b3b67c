#include "router/telemetry/access_line.h"

#include <string_view>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "router/openai/json_text.h"

namespace bessemer {
namespace {

// Keys and values of one object, in the order in which they are added.
class LineWriter {
 public:
  void text(std::string_view key, std::string_view value) {
    open(key);
    append_json_string(out_, value);
  }
  // null for "".
  void text_or_null(std::string_view key, std::string_view value) {
    if (value.empty()) return null(key);
    text(key, value);
  }
  void integer(std::string_view key, int64_t value) {
    open(key);
    append_json_integer(out_, value);
  }
  // Milliseconds with three decimals between two moments; null where one is not known.
  void milliseconds(std::string_view key, TimePoint from, std::optional<TimePoint> to) {
    if (!to) return null(key);
    open(key);
    fmt::format_to(std::back_inserter(out_), "{:.3f}",
                   static_cast<double>(microseconds(*to - from)) / 1000);
  }
  void null(std::string_view key) {
    open(key);
    out_ += "null";
  }
  std::string finish() {
    out_ += '}';
    return std::move(out_);
  }

 private:
  void open(std::string_view key) {
    out_ += out_.empty() ? "{\"" : ",\"";
    out_ += key;
    out_ += "\":";
  }
  std::string out_;
};

// RFC 3339, in UTC: "2026-01-31T08:49:37.123Z".
std::string moment(int64_t unix_ns) {
  constexpr int64_t kSecond = 1'000'000'000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(static_cast<std::time_t>(unix_ns / kSecond)),
                     unix_ns % kSecond / 1'000'000);
}

void add_request(LineWriter& line, const RequestRecord& record) {
  const RecordHead& head = record.head();
  line.text("time", moment(head.received_unix_ns));
  line.text_or_null("request_id", head.id);
  line.text_or_null("trace_id", head.trace ? trace_id_text(*head.trace) : "");
  line.text("front", head.front);
  line.text_or_null("method", head.method);
  line.text("endpoint", head.endpoint);
  line.integer("status", record.status());
  line.text_or_null("model", record.model());
  line.text_or_null("user", record.user());
}

void add_times(LineWriter& line, const RequestRecord& record) {
  const TimePoint received = record.head().received;
  line.milliseconds("total_ms", received, record.ended_at());
  line.milliseconds("queued_ms", received, record.first_attempt_at());
  line.milliseconds("ttft_ms", received, record.first_token_at());
}

void add_tokens(LineWriter& line, const RequestRecord& record) {
  line.integer("choices", record.choices());
  line.integer("prompt_tokens", record.tokens().prompt);
  line.integer("cached_tokens", record.tokens().cached);
  line.integer("completion_tokens", record.tokens().completion);
}

// Where it went: the last attempt's, which is the one that answered if any did.
void add_placing(LineWriter& line, const RequestRecord& record) {
  const bool placed = !record.attempts().empty();
  const AttemptRecord none, &last = placed ? record.attempts().back() : none;
  line.text_or_null("worker", last.worker);
  line.text_or_null("decision", last.decision);
  if (placed) {
    line.integer("matched_tokens", last.matched_tokens);
  } else {
    line.null("matched_tokens");
  }
  line.integer("attempts", static_cast<int64_t>(record.attempt_count()));
  line.integer("bounces", record.bounces());
  line.integer("resumes", record.resumes());
}

void add_error(LineWriter& line, const RequestRecord& record) {
  line.text_or_null("error_type", record.error_type());
  line.text_or_null("error_code", record.error_code());
  line.text_or_null("error", record.error_message());
}

}  // namespace

std::string access_line(const RequestRecord& record) {
  LineWriter line;
  add_request(line, record);
  add_times(line, record);
  add_tokens(line, record);
  add_placing(line, record);
  add_error(line, record);
  return line.finish();
}

}  // namespace bessemer
