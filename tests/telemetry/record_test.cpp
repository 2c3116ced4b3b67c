// From what happened to a request to a line of the access log and to spans.
#include <algorithm>

#include <gtest/gtest.h>

#include "common/json.h"
#include "router/telemetry/access_line.h"
#include "router/telemetry/otlp_json.h"
#include "router/telemetry/request_record.h"
#include "router/telemetry/spans.h"

namespace bessemer {
namespace {

using std::chrono::milliseconds;

const TimePoint kStart{std::chrono::seconds(1000)};
constexpr int64_t kWall = 1'769'849'377'123'456'789;  // 2026-01-31T08:49:37.123Z

RecordHead head() {
  RecordHead head;
  head.id = "req-1";
  head.front = "http";
  head.method = "POST";
  head.endpoint = "/v1/completions";
  head.received = kStart;
  head.received_unix_ns = kWall;
  return head;
}

RecordHead traced_head() {
  RecordHead traced = head();
  traced.parent = TraceContext{1, 2, 3, true};
  traced.trace = TraceContext{1, 2, 4, true};
  traced.trace_state = "vendor=1";
  return traced;
}

AttemptRecord attempt(const std::string& worker, milliseconds at) {
  AttemptRecord one;
  one.worker = worker;
  one.decision = "prefix";
  one.begin = kStart + at;
  one.span = 77;
  return one;
}

// Refused by one worker, answered by another.
RequestRecord answered(RecordHead with) {
  RequestRecord record(std::move(with));
  record.prepared("mock", "ada", 2, kStart + milliseconds(2));
  const size_t refused = record.begin_attempt(attempt("10.0.0.1:9000", milliseconds(3)));
  record.problem(refused, "queue full");
  record.bounced();
  record.end_attempt(refused, kStart + milliseconds(4));
  AttemptRecord second = attempt("10.0.0.2:9000", milliseconds(5));
  second.span = 78;
  const size_t taken = record.begin_attempt(std::move(second));
  record.matched(taken, 512);
  record.first_token(kStart + milliseconds(25));
  record.timing(taken, {3000, 10'000, 13'000, 90'000, 1});
  record.end_attempt(taken, kStart + milliseconds(105));
  record.close(200, {600, 512, 40}, kStart + milliseconds(106));
  return record;
}

json::object line_of(const RequestRecord& record) {
  const auto parsed = parse_json(access_line(record));
  EXPECT_TRUE(parsed.ok()) << access_line(record);
  return parsed->as_object();
}

TEST(AccessLine, TellsTheWholeRequest) {
  const auto line = line_of(answered(traced_head()));
  EXPECT_EQ(line.at("time"), "2026-01-31T08:49:37.123Z");
  EXPECT_EQ(line.at("request_id"), "req-1");
  EXPECT_EQ(line.at("trace_id"), "00000000000000010000000000000002");
  EXPECT_EQ(line.at("endpoint"), "/v1/completions");
  EXPECT_EQ(line.at("status"), 200);
  EXPECT_EQ(line.at("model"), "mock");
  EXPECT_EQ(line.at("user"), "ada");
  EXPECT_EQ(line.at("queued_ms"), 3.0);
  EXPECT_EQ(line.at("ttft_ms"), 25.0);
  EXPECT_EQ(line.at("total_ms"), 106.0);
  EXPECT_EQ(line.at("prompt_tokens"), 600);
  EXPECT_EQ(line.at("cached_tokens"), 512);
  EXPECT_EQ(line.at("completion_tokens"), 40);
  EXPECT_EQ(line.at("worker"), "10.0.0.2:9000");
  EXPECT_EQ(line.at("decision"), "prefix");
  EXPECT_EQ(line.at("matched_tokens"), 512);
  EXPECT_EQ(line.at("attempts"), 2);
  EXPECT_EQ(line.at("bounces"), 1);
  EXPECT_EQ(line.at("resumes"), 0);
  EXPECT_TRUE(line.at("error").is_null());
}

TEST(AccessLine, HasTheSameKeysWhateverHappened) {
  RequestRecord refused(head());
  refused.failed("invalid_request_error", "invalid_value", "no");
  refused.close(400, {}, kStart + milliseconds(1));
  const auto line = line_of(refused), full = line_of(answered(traced_head()));
  ASSERT_EQ(line.size(), full.size());
  for (const auto& pair : full) EXPECT_TRUE(line.contains(pair.key())) << pair.key();
  EXPECT_TRUE(line.at("ttft_ms").is_null());
  EXPECT_TRUE(line.at("worker").is_null());
  EXPECT_TRUE(line.at("trace_id").is_null());
  EXPECT_EQ(line.at("error_code"), "invalid_value");
}

// What a client wrote cannot forge a line, nor make one that is no JSON.
TEST(AccessLine, IsOneLineOfValidJsonWhateverTheClientWrote) {
  RequestRecord record(head());
  record.prepared("a\n{\"status\":200}", std::string("\xff\x00\"\\", 4), 1, kStart);
  record.failed("t", "c", std::string(5000, '\xc3'));
  record.close(404, {}, kStart);
  const std::string line = access_line(record);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_LT(line.size(), 4000u);
  EXPECT_EQ(line_of(record).at("model"), "a\n{\"status\":200}");
}

TEST(RequestRecord, KeepsABoundedNumberOfAttempts) {
  RequestRecord record(traced_head());
  for (size_t i = 0; i < kMaxRecordedAttempts + 10; i++) {
    const size_t number = record.begin_attempt(attempt("w", milliseconds(i)));
    record.matched(number, 5);
    record.problem(number, "no");
    record.end_attempt(number, kStart + milliseconds(i));
    EXPECT_TRUE(parse_traceparent(record.traceparent_of(number)));
  }
  EXPECT_EQ(record.attempts().size(), kMaxRecordedAttempts);
  EXPECT_EQ(record.attempt_count(), kMaxRecordedAttempts + 10);
}

TEST(RequestRecord, ClosingEndsWhatWasOpen) {
  RequestRecord record(traced_head());
  record.begin_attempt(attempt("w", milliseconds(1)));
  record.close(499, {}, kStart + milliseconds(9));
  EXPECT_EQ(record.attempts()[0].end, kStart + milliseconds(9));
}

const Span& named(const std::vector<Span>& spans, const std::string& name, size_t nth = 0) {
  for (const Span& span : spans) {
    if (span.name == name && nth-- == 0) return span;
  }
  ADD_FAILURE() << "no span " << name;
  return spans.front();
}

TEST(Spans, FormATreeInsideTheirParents) {
  Random random(1);
  const auto spans = spans_of(answered(traced_head()), random);
  ASSERT_EQ(spans.size(), 8u);
  const Span& root = named(spans, "POST /v1/completions");
  EXPECT_EQ(root.parent, 3u);
  EXPECT_EQ(root.context.span, 4u);
  EXPECT_EQ(root.kind, SpanKind::server);
  EXPECT_EQ(root.begin_unix_ns, kWall);
  EXPECT_EQ(root.end_unix_ns, kWall + 106'000'000);
  EXPECT_EQ(root.trace_state, "vendor=1");
  for (const char* name : {"prepare", "place", "attempt"})
    EXPECT_EQ(named(spans, name).parent, root.context.span);
  const Span& refused = named(spans, "attempt", 0);
  EXPECT_TRUE(refused.failed);
  EXPECT_EQ(refused.problem, "queue full");
  const Span& taken = named(spans, "attempt", 1);
  EXPECT_FALSE(taken.failed);
  EXPECT_EQ(taken.context.span, 78u);  // what the worker was told
  for (const char* name : {"queue", "prefill", "decode"}) {
    const Span& span = named(spans, name);
    EXPECT_EQ(span.parent, 78u);
    EXPECT_GE(span.begin_unix_ns, taken.begin_unix_ns);
    EXPECT_LE(span.end_unix_ns, taken.end_unix_ns);
  }
  EXPECT_EQ(named(spans, "queue").end_unix_ns, named(spans, "prefill").begin_unix_ns);
  EXPECT_EQ(named(spans, "decode").end_unix_ns - named(spans, "queue").begin_unix_ns, 90'000'000);
  std::vector<uint64_t> ids;
  for (const Span& span : spans) ids.push_back(span.context.span);
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(std::unique(ids.begin(), ids.end()), ids.end());
}

TEST(Spans, ARequestOutsideOfTracesHasNone) {
  Random random(1);
  EXPECT_TRUE(spans_of(answered(head()), random).empty());
}

TEST(Spans, AServersMistakeIsOne) {
  Random random(1);
  RequestRecord record(traced_head());
  record.failed("server_error", "", "the worker died");
  record.close(500, {}, kStart);
  EXPECT_TRUE(spans_of(record, random).front().failed);
  RequestRecord refused(traced_head());
  refused.close(400, {}, kStart);
  EXPECT_FALSE(spans_of(refused, random).front().failed);
}

// A worker that says it took longer than the attempt did.
TEST(Spans, NeverEndBeforeTheyBegin) {
  Random random(1);
  RequestRecord record(traced_head());
  const size_t number = record.begin_attempt(attempt("w", milliseconds(1)));
  record.timing(number, {900'000, 100, 50, 20'000, 0});
  record.end_attempt(number, kStart + milliseconds(5));
  record.close(200, {}, kStart + milliseconds(6));
  for (const Span& span : spans_of(record, random))
    EXPECT_LE(span.begin_unix_ns, span.end_unix_ns) << span.name;
}

TEST(OtlpJson, IsTheStandardsForm) {
  Random random(1);
  const auto spans = spans_of(answered(traced_head()), random);
  const auto parsed = parse_json(render_otlp({"bessemer-router", "1.2", "host-1", "host"}, spans));
  ASSERT_TRUE(parsed.ok());
  const auto& resource = parsed->at("resourceSpans").at(0);
  EXPECT_EQ(resource.at("resource").at("attributes").at(0).at("key"), "service.name");
  const auto& list = resource.at("scopeSpans").at(0).at("spans").as_array();
  ASSERT_EQ(list.size(), spans.size());
  const auto& root = list.at(0).as_object();
  EXPECT_EQ(root.at("traceId"), "00000000000000010000000000000002");
  EXPECT_EQ(root.at("spanId"), "0000000000000004");
  EXPECT_EQ(root.at("parentSpanId"), "0000000000000003");
  EXPECT_EQ(root.at("kind"), 2);
  EXPECT_EQ(root.at("startTimeUnixNano").as_string(), std::to_string(kWall));
  EXPECT_FALSE(root.contains("status"));
  EXPECT_EQ(list.at(3).at("status").at("code"), 2);  // the refused attempt
}

TEST(OtlpJson, PartialSuccessIsUnderstoodInBothForms) {
  EXPECT_EQ(rejected_spans(R"({"partialSuccess":{"rejectedSpans":"3","errorMessage":"x"}})"), 3);
  EXPECT_EQ(rejected_spans(R"({"partialSuccess":{"rejectedSpans":4}})"), 4);
  for (const char* none : {"{}", "", "[]", R"({"partialSuccess":{}})", "no json",
                           R"({"partialSuccess":{"rejectedSpans":"-1"}})"})
    EXPECT_EQ(rejected_spans(none), 0) << none;
}

}  // namespace
}  // namespace bessemer
