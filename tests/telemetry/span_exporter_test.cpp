// Spans on their way to a collector, over real HTTP.
#include "router/telemetry/span_exporter.h"

#include <chrono>
#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include "common/json.h"
#include "common/log.h"
#include "router/telemetry/retry.h"
#include "tests/telemetry/collector.h"

namespace bessemer {
namespace {

using std::chrono::milliseconds;

bool soon(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition() && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(milliseconds(2));
  return condition();
}

// A request that reached no worker: one span.
RequestRecord record(uint64_t trace = 9) {
  RecordHead head;
  head.id = "r";
  head.method = "GET";
  head.endpoint = "/version";
  head.trace = TraceContext{trace, 1, 5, true};
  RequestRecord record(std::move(head));
  record.close(200, {}, TimePoint{});
  return record;
}

size_t spans_in(const std::string& body) {
  const auto parsed = parse_json(body);
  EXPECT_TRUE(parsed.ok()) << body;
  return parsed->at("resourceSpans").at(0).at("scopeSpans").at(0).at("spans").as_array().size();
}

size_t spans_in(const std::vector<std::string>& bodies) {
  size_t total = 0;
  for (const auto& body : bodies) total += spans_in(body);
  return total;
}

class SpanExporterTest : public ::testing::Test {
 protected:
  SpanExporterTest() {
    log().set_level(LogLevel::off);
    times_.max_wait = milliseconds(30);
    times_.post_limit = milliseconds(500);
    times_.last_post = milliseconds(300);
    times_.first_backoff = milliseconds(10);
    times_.most_backoff = milliseconds(40);
  }
  std::unique_ptr<SpanExporter> start(const FakeCollector& collector) {
    return SpanExporter::start(collector.address(), {}, times_);
  }
  ExportTimes times_;
};

TEST_F(SpanExporterTest, SendsWhatItIsGiven) {
  FakeCollector collector([](size_t) { return collector_answer(200); });
  const auto exporter = start(collector);
  for (int i = 0; i < 3; i++) exporter->push(record());
  ASSERT_TRUE(soon([&] { return exporter->counts().sent == 3; }));
  EXPECT_EQ(spans_in(collector.bodies()), 3u);
  const std::string head = collector.heads().at(0);
  EXPECT_TRUE(head.starts_with("POST /v1/traces HTTP/1.1\r\n")) << head;
  EXPECT_NE(head.find("Content-Type: application/json\r\n"), std::string::npos) << head;
}

TEST_F(SpanExporterTest, BatchesAreBounded) {
  FakeCollector collector([](size_t) { return collector_answer(200); });
  times_.max_wait = std::chrono::seconds(20);  // only a full batch leaves
  const auto exporter = start(collector);
  for (size_t i = 0; i < 2 * kMaxBatchSpans; i++) exporter->push(record());
  ASSERT_TRUE(soon([&] { return exporter->counts().sent >= kMaxBatchSpans; }));
  for (const auto& body : collector.bodies()) EXPECT_LE(spans_in(body), kMaxBatchSpans);
}

TEST_F(SpanExporterTest, TriesAgainUntilTheCollectorIsWell) {
  FakeCollector collector([](size_t nth) {
    const std::string answers[] = {collector_answer(503), "", collector_answer(429)};
    return nth < 3 ? answers[nth] : collector_answer(200);
  });
  const auto exporter = start(collector);
  exporter->push(record());
  ASSERT_TRUE(soon([&] { return exporter->counts().sent == 1; }));
  EXPECT_EQ(exporter->counts().retries, 3u);
  EXPECT_EQ(exporter->counts().dropped, 0u);
  const auto bodies = collector.bodies();
  ASSERT_EQ(bodies.size(), 4u);
  for (const auto& body : bodies) EXPECT_EQ(body, bodies[0]);
}

TEST_F(SpanExporterTest, ARefusalIsFinal) {
  FakeCollector collector([](size_t) { return collector_answer(400); });
  const auto exporter = start(collector);
  exporter->push(record());
  ASSERT_TRUE(soon([&] { return exporter->counts().dropped == 1; }));
  EXPECT_EQ(collector.bodies().size(), 1u);
  EXPECT_EQ(exporter->counts().retries, 0u);
}

TEST_F(SpanExporterTest, GivesUpAfterItsTries) {
  FakeCollector collector([](size_t) { return collector_answer(503); });
  const auto exporter = start(collector);
  exporter->push(record());
  ASSERT_TRUE(soon([&] { return exporter->counts().dropped == 1; }));
  EXPECT_EQ(collector.bodies().size(), size_t{kMaxTries});
}

TEST_F(SpanExporterTest, WhatACollectorRejectsIsCounted) {
  FakeCollector collector([](size_t) {
    return collector_answer(200, "", R"({"partialSuccess":{"rejectedSpans":"2"}})");
  });
  const auto exporter = start(collector);
  for (int i = 0; i < 5; i++) exporter->push(record());
  ASSERT_TRUE(soon([&] { return exporter->counts().sent + exporter->counts().dropped == 5; }));
  EXPECT_EQ(exporter->counts().dropped % 2, 0u);
  EXPECT_GE(exporter->counts().dropped, 2u);
}

// Nobody listens: push() does not wait, the queue ends somewhere, and what is lost is counted.
TEST_F(SpanExporterTest, IsBoundedWithoutACollector) {
  int port = 0;
  {
    const FakeCollector gone([](size_t) { return ""; });
    port = gone.port();
  }
  times_.first_backoff = times_.most_backoff = std::chrono::seconds(10);
  const auto exporter = SpanExporter::start({"127.0.0.1", std::to_string(port)}, {}, times_);
  exporter->push(record());
  ASSERT_TRUE(soon([&] { return exporter->counts().retries == 1; }));  // it waits now
  const auto begin = std::chrono::steady_clock::now();
  for (size_t i = 0; i < kMaxQueuedRecords + 100; i++) exporter->push(record());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
  EXPECT_EQ(exporter->counts().dropped, 100u);
}

TEST_F(SpanExporterTest, WhatIsLeftLeavesAtTheEnd) {
  FakeCollector collector([](size_t) { return collector_answer(200); });
  times_.max_wait = std::chrono::seconds(20);
  {
    const auto exporter = start(collector);
    for (int i = 0; i < 7; i++) exporter->push(record());
  }
  EXPECT_EQ(spans_in(collector.bodies()), 7u);
}

TEST_F(SpanExporterTest, ASilentCollectorDoesNotHoldTheEndUp) {
  FakeCollector collector([](size_t) {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    return "";
  });
  const auto begin = std::chrono::steady_clock::now();
  {
    const auto exporter = start(collector);
    for (int i = 0; i < 7; i++) exporter->push(record());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
}

TEST(SpanExporter, OnlyWhatTheStandardNamesIsTriedAgain) {
  for (const int status : {429, 502, 503, 504}) EXPECT_TRUE(otlp_retryable(status));
  for (const int status : {200, 400, 401, 404, 413, 500, 501}) EXPECT_FALSE(otlp_retryable(status));
}

}  // namespace
}  // namespace bessemer
