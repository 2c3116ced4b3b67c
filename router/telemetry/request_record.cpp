#include "router/telemetry/request_record.h"

#include <utility>

namespace bessemer {
namespace {

std::string cut(std::string_view text) {
  return std::string(text.substr(0, kMaxRecordedText));
}

}  // namespace

void RequestRecord::named(std::string_view model, std::string_view user) {
  model_ = cut(model);
  user_ = cut(user);
}

void RequestRecord::prepared(std::string_view model, std::string_view user, int32_t choices,
                             TimePoint now) {
  named(model, user);
  choices_ = choices;
  prepared_at_ = now;
}

size_t RequestRecord::begin_attempt(AttemptRecord attempt) {
  const size_t number = attempt_count_++;
  if (number < kMaxRecordedAttempts) attempts_.push_back(std::move(attempt));
  return number;
}

std::string RequestRecord::traceparent_of(size_t attempt) const {
  if (!head_.trace) return "";
  TraceContext context = *head_.trace;
  if (attempt < attempts_.size() && attempts_[attempt].span != 0)
    context.span = attempts_[attempt].span;
  return render_traceparent(context);
}

void RequestRecord::matched(size_t attempt, int64_t tokens) {
  if (AttemptRecord* one = kept(attempt)) one->matched_tokens = tokens;
}

void RequestRecord::timing(size_t attempt, const WorkerTiming& timing) {
  if (AttemptRecord* one = kept(attempt)) one->timing = timing;
}

void RequestRecord::problem(size_t attempt, std::string_view why) {
  if (AttemptRecord* one = kept(attempt)) one->problem = cut(why);
}

void RequestRecord::end_attempt(size_t attempt, TimePoint now) {
  if (AttemptRecord* one = kept(attempt); one != nullptr && !one->end) one->end = now;
}

void RequestRecord::first_token(TimePoint now) {
  if (!first_token_at_) first_token_at_ = now;
}

void RequestRecord::failed(std::string_view type, std::string_view code, std::string_view message) {
  error_type_ = cut(type);
  error_code_ = cut(code);
  error_message_ = cut(message);
}

void RequestRecord::close(int status, const RecordedTokens& tokens, TimePoint now) {
  status_ = status;
  tokens_ = tokens;
  ended_at_ = now;
  for (AttemptRecord& attempt : attempts_) {
    if (!attempt.end) attempt.end = now;  // T1
  }
}

std::optional<TimePoint> RequestRecord::first_attempt_at() const {
  if (attempts_.empty()) return std::nullopt;
  return attempts_.front().begin;
}

int64_t RequestRecord::unix_ns(TimePoint time) const {
  return head_.received_unix_ns + (time - head_.received).count();
}

}  // namespace bessemer
