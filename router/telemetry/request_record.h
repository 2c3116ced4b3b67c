// What happened to one request, told by whoever handles it and written down when it has ended: a
// line of the access log and the spans of a trace are both made from it. Pure: times are passed in.
//
// Invariants
//   T1  Every attempt that began has ended when the record is closed.
//   T2  It is bounded: attempts beyond kMaxRecordedAttempts are counted and not kept, texts of
//       clients and workers are cut at kMaxRecordedText.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "router/telemetry/trace_context.h"

namespace bessemer {

// Attempts of one request that are kept, about 300 bytes each. A list of prompts has one and more
// for each; what they have in common shows in the first ones.
constexpr size_t kMaxRecordedAttempts = 16;
constexpr size_t kMaxRecordedText = 512;  // bytes: OpenAI's own bound on a value of metadata

// The time a worker says it spent, from the frame that ends an attempt.
struct WorkerTiming {
  int64_t queued_us = 0;       // until it was first computed
  int64_t prefill_us = 0;      // from there to its first token
  int64_t first_token_us = 0;  // the two together
  int64_t total_us = 0;
  int32_t preemptions = 0;
};

// One try of a prompt on a worker.
struct AttemptRecord {
  std::string worker;    // its address
  std::string decision;  // why this worker
  uint32_t epoch = 0;
  uint64_t span = 0;  // 0: not traced
  TimePoint begin{};
  std::optional<TimePoint> end;
  int64_t prompt_tokens = 0;
  int64_t matched_tokens = 0;          // of the prompt, found in the worker's cache on admission
  std::optional<WorkerTiming> timing;  // absent: it did not end by itself
  std::optional<std::string> problem;  // why it was refused or lost
};

struct RecordedTokens {
  int64_t prompt = 0, cached = 0, completion = 0;
};

struct RecordHead {
  std::string id;  // x-request-id
  std::string front, method, endpoint;
  TimePoint received{};
  int64_t received_unix_ns = 0;        // the same moment by the wall clock
  std::optional<TraceContext> parent;  // as it came
  std::optional<TraceContext> trace;   // its own span; absent: not part of a trace
  std::string trace_state;             // the W3C header, as it came
};

class RequestRecord {
 public:
  explicit RequestRecord(RecordHead head) : head_(std::move(head)) {}

  // Whose it is; empty: nobody's in particular.
  void tenant(std::string_view name) { tenant_ = name; }
  // What its body says of whose it is.
  void named(std::string_view model, std::string_view user);
  // Its body has been read: what it is about.
  void prepared(std::string_view model, std::string_view user, int32_t choices, TimePoint now);
  // Begins an attempt; returns its number, for the calls below.
  size_t begin_attempt(AttemptRecord attempt);
  // The traceparent that the worker gets; empty: the request is not part of a trace.
  std::string traceparent_of(size_t attempt) const;
  void matched(size_t attempt, int64_t tokens);
  void timing(size_t attempt, const WorkerTiming& timing);
  void problem(size_t attempt, std::string_view why);
  void end_attempt(size_t attempt, TimePoint now);
  void first_token(TimePoint now);
  // A refusal, or a loss after which the request was placed again.
  void bounced() { bounces_++; }
  void resumed() { resumes_++; }
  void failed(std::string_view type, std::string_view code, std::string_view message);
  void close(int status, const RecordedTokens& tokens, TimePoint now);

  const RecordHead& head() const { return head_; }
  const std::string& model() const { return model_; }
  const std::string& user() const { return user_; }
  const std::string& tenant() const { return tenant_; }
  int32_t choices() const { return choices_; }
  const std::vector<AttemptRecord>& attempts() const { return attempts_; }
  size_t attempt_count() const { return attempt_count_; }
  int32_t bounces() const { return bounces_; }
  int32_t resumes() const { return resumes_; }
  int status() const { return status_; }
  const RecordedTokens& tokens() const { return tokens_; }
  const std::string& error_type() const { return error_type_; }
  const std::string& error_code() const { return error_code_; }
  const std::string& error_message() const { return error_message_; }
  std::optional<TimePoint> prepared_at() const { return prepared_at_; }
  std::optional<TimePoint> first_token_at() const { return first_token_at_; }
  TimePoint ended_at() const { return ended_at_; }
  // Until the first attempt was sent: reading, and waiting for room in a worker.
  std::optional<TimePoint> first_attempt_at() const;
  int64_t unix_ns(TimePoint time) const;

 private:
  AttemptRecord* kept(size_t attempt) {
    return attempt < attempts_.size() ? &attempts_[attempt] : nullptr;
  }

  RecordHead head_;
  std::string model_, user_, tenant_;
  int32_t choices_ = 0;
  std::vector<AttemptRecord> attempts_;
  size_t attempt_count_ = 0;
  int32_t bounces_ = 0, resumes_ = 0;
  int status_ = 0;
  RecordedTokens tokens_;
  std::string error_type_, error_code_, error_message_;
  std::optional<TimePoint> prepared_at_, first_token_at_;
  TimePoint ended_at_{};
};

}  // namespace bessemer
