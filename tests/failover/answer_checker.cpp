#include "tests/failover/answer_checker.h"

#include <algorithm>

#include <fmt/format.h>

namespace bessemer::failover {
namespace {

std::vector<std::string> texts_of(const std::vector<MockAnswer>& answers) {
  std::vector<std::string> texts;
  for (const MockAnswer& answer : answers) texts.push_back(text_of(answer.ids));
  return texts;
}

std::string_view string_at(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

int64_t number_at(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr || !value->is_int64() ? -1 : value->get_int64();
}

const json::object* object_at(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr ? nullptr : value->if_object();
}

// What `got`, which is not `right`, is instead. Texts are numbers, each with a comma behind it.
Verdict classify(std::string_view got, std::string_view right) {
  if (right.starts_with(got)) return Verdict::lost;
  size_t same = static_cast<size_t>(std::ranges::mismatch(got, right).in1 - got.begin());
  while (same > 0 && got[same - 1] != ',') same--;
  // Where the right answer goes on as this one does: a few tokens identify a place.
  const std::string_view next = got.substr(same, 24);
  if (next.empty()) return Verdict::wrong;
  const size_t place = right.find(next);
  if (place == std::string_view::npos) return Verdict::wrong;
  return place < same ? Verdict::repeated : Verdict::lost;
}

}  // namespace

const char* name_of(Verdict verdict) {
  constexpr const char* kNames[kVerdicts] = {"right",  "lost",     "repeated",  "wrong", "refused",
                                             "broken", "poisoned", "truncated", "hung"};
  return kNames[static_cast<size_t>(verdict)];
}

AnswerChecker::AnswerChecker(const StreamPlan& plan, TimePoint now)
    : plan_(plan), right_(texts_of(plan.right)), choices_(plan.right.size()) {
  for (Choice& choice : choices_) choice.last = now;
}

void AnswerChecker::fail(Verdict verdict, std::string detail) {
  if (checked_.verdict != Verdict::right) return;  // the first cause counts
  checked_.verdict = verdict;
  checked_.detail = std::move(detail);
}

void AnswerChecker::take(int status, std::string_view piece, TimePoint now) {
  status_ = status;
  if (status != 200 || !plan_.streamed) {
    body_ += piece;
    return;
  }
  if (!events_.feed(piece, [&](std::string_view data) { take_event(data, now); }))
    fail(Verdict::wrong, "an event without end");
}

void AnswerChecker::take_event(std::string_view data, TimePoint now) {
  if (done_) return fail(Verdict::wrong, "an event behind [DONE]");
  if (data == "[DONE]") {
    done_ = true;
    return;
  }
  const StatusOr<json::value> chunk = parse_json(data);
  if (!chunk.ok() || !chunk->is_object()) return fail(Verdict::wrong, std::string(data));
  take_chunk(chunk->get_object(), now);
}

void AnswerChecker::take_chunk(const json::object& chunk, TimePoint now) {
  if (const json::object* error = object_at(chunk, "error")) {
    return judge_error(*error, Verdict::broken);
  }
  if (const json::object* usage = object_at(chunk, "usage")) {
    prompt_tokens_ = number_at(*usage, "prompt_tokens");
    completion_tokens_ = number_at(*usage, "completion_tokens");
  }
  const json::value* choices = chunk.if_contains("choices");
  if (choices == nullptr || !choices->is_array()) return;
  for (const json::value& choice : choices->get_array()) {
    if (choice.is_object()) take_choice(choice.get_object(), now);
  }
}

void AnswerChecker::take_choice(const json::object& fields, TimePoint now) {
  const auto number = static_cast<size_t>(number_at(fields, "index"));
  if (number >= choices_.size()) return fail(Verdict::wrong, "a choice that was not asked for");
  Choice& choice = choices_[number];
  const std::string_view text = string_at(fields, "text");
  if (!text.empty() && plan_.streamed) {
    const double gap_s = std::chrono::duration<double>(now - choice.last).count();
    checked_.longest_gap_s = std::max(checked_.longest_gap_s, gap_s);
    choice.last = now;
  }
  if (!choice.reason.empty() && !text.empty()) fail(Verdict::wrong, "text behind a choice's end");
  choice.text += text;
  const std::string_view reason = string_at(fields, "finish_reason");
  if (!reason.empty()) choice.reason = reason;
}

void AnswerChecker::judge_error(const json::object& error, Verdict otherwise) {
  const std::string message(string_at(error, "message"));
  const bool blamed = message.find("poison") != std::string::npos ||
                      string_at(error, "code") == std::string_view("poison_request");
  fail(blamed ? Verdict::poisoned : otherwise, fmt::format("status {}: {}", status_, message));
}

Checked AnswerChecker::finish(End end) {
  if (end == End::timed_out) fail(Verdict::hung, "no end of the answer in time");
  if (end == End::cut) fail(Verdict::truncated, "the connection was lost");
  if (!body_.empty() && end == End::whole) {
    const StatusOr<json::value> whole = parse_json(body_);
    if (!whole.ok() || !whole->is_object()) {
      fail(status_ == 200 ? Verdict::wrong : Verdict::refused, body_);
    } else if (const json::object* error = object_at(whole->get_object(), "error")) {
      judge_error(*error, Verdict::refused);
    } else {
      take_chunk(whole->get_object(), TimePoint{});
    }
    done_ = true;
  }
  if (status_ != 200) fail(Verdict::refused, fmt::format("status {}", status_));
  if (!done_) fail(Verdict::truncated, "no [DONE]");
  for (size_t i = 0; i < choices_.size(); i++) judge_choice(i);
  judge_usage();
  return std::move(checked_);
}

void AnswerChecker::judge_choice(size_t number) {
  const Choice& choice = choices_[number];
  if (choice.text != right_[number]) {
    return fail(
        classify(choice.text, right_[number]),
        fmt::format("choice {} is \"{}\", not \"{}\"", number, choice.text, right_[number]));
  }
  const char* reason = plan_.right[number].reason == v1::END_STOP ? "stop" : "length";
  if (choice.reason != reason) {
    fail(Verdict::wrong,
         fmt::format("choice {} ended by \"{}\", not by \"{}\"", number, choice.reason, reason));
  }
}

void AnswerChecker::judge_usage() {
  int64_t generated = 0;
  for (const MockAnswer& answer : plan_.right) generated += static_cast<int64_t>(answer.ids.size());
  const auto prompt = static_cast<int64_t>(plan_.prompt.size());
  if (prompt_tokens_ == prompt && completion_tokens_ == generated) return;
  fail(Verdict::wrong, fmt::format("usage of {} and {} tokens, not of {} and {}", prompt_tokens_,
                                   completion_tokens_, prompt, generated));
}

}  // namespace bessemer::failover
