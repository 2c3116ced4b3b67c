// Sends the spans of ended requests to an OpenTelemetry collector, over OTLP/HTTP with JSON, on a
// thread of its own. (Debian 12 has no opentelemetry-cpp; of OTLP we need one message.)
//
// Invariants
//   O1  push() never waits: beyond kMaxQueuedRecords the record is dropped and counted, beyond
//       kMaxPendingSpans its spans are.
//   O2  A batch leaves when it has kMaxBatchSpans or its oldest record has waited kMaxWait.
//   O3  What a collector cannot take now (no connection, 429, 502, 503, 504) is tried again with
//       growing waits, at most kMaxTries times; then, or on any other refusal, it is dropped and
//       counted. Meanwhile the queue fills and O1 holds.
//   O4  The destructor lets the post in flight end, sends what is left once, and gives that
//       ExportTimes::last_post at most.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/server_address.h"
#include "router/telemetry/otlp_json.h"
#include "router/telemetry/request_record.h"

namespace bessemer {

constexpr const char* kOtlpPort = "4318";  // OTLP/HTTP's, where the address names none

// Records that wait, 1 kB each in the usual case: some MB, and several seconds of a busy router.
constexpr size_t kMaxQueuedRecords = 4096;
constexpr size_t kMaxBatchSpans = 512;          // the OpenTelemetry SDKs' own default; about 400 kB
constexpr size_t kMaxPendingSpans = 32 * 1024;  // 1 kB each; what a full queue usually makes
constexpr int kMaxTries = 5;                    // half a minute with the waits between them

struct ExportTimes {
  Duration max_wait = std::chrono::seconds(1);
  Duration post_limit = std::chrono::seconds(3);
  Duration last_post = std::chrono::seconds(1);
  Duration first_backoff = std::chrono::seconds(1), most_backoff = std::chrono::seconds(30);
};

struct ExportCounts {
  uint64_t sent = 0;     // spans that the collector has taken
  uint64_t dropped = 0;  // spans and, where the queue was full, whole records
  uint64_t retries = 0;  // posts that were made again
};

class SpanExporter {
 public:
  static std::unique_ptr<SpanExporter> start(const ServerAddress& collector,
                                             const OtlpResource& resource,
                                             const ExportTimes& times = {});
  virtual ~SpanExporter() = default;

  // Of a closed record that is part of a trace and sampled. Any thread.
  virtual void push(RequestRecord record) = 0;
  virtual ExportCounts counts() const = 0;
};

}  // namespace bessemer
