#include "bench/serve/answer_reader.h"

#include <algorithm>
#include <array>

namespace bessemer::bench {
namespace {

const json::value* find(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

const json::object* find_object(const json::object& object, std::string_view name) {
  const json::value* value = find(object, name);
  return value == nullptr ? nullptr : value->if_object();
}

std::string_view find_text(const json::object& object, std::string_view name) {
  const json::value* value = find(object, name);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

int64_t find_count(const json::object& object, std::string_view name) {
  const json::value* value = find(object, name);
  return value == nullptr || !value->is_int64() ? 0 : value->get_int64();
}

// What an error says of itself: {"message": ...} or a bare string.
std::string error_text(const json::value& error) {
  const json::object* fields = error.if_object();
  const std::string_view message = fields == nullptr ? "" : find_text(*fields, "message");
  return message.empty() ? json::serialize(error) : std::string(message);
}

// The message of an answer that is not a 200.
std::string refusal(const std::string& body) {
  const StatusOr<json::value> parsed = parse_json(body);
  const json::object* fields = parsed.ok() ? parsed->if_object() : nullptr;
  const json::value* error = fields == nullptr ? nullptr : find(*fields, "error");
  return error == nullptr ? body : error_text(*error);
}

}  // namespace

void AnswerReader::fail(Failure failure, std::string message) {
  if (outcome_.failure != Failure::none) return;  // the first cause is the one that counts
  outcome_.failure = failure;
  message.resize(std::min(message.size(), kMaxMessageBytes));
  outcome_.message = std::move(message);
}

bool AnswerReader::take(int status, std::string_view piece, TimePoint now) {
  now_ = now;
  outcome_.status = status;
  if (status != 200) {
    text_ += piece.substr(0, kMaxAnswerBytes - std::min(text_.size(), kMaxAnswerBytes));
    return true;
  }
  if (!events_.feed(piece, [this](std::string_view data) { take_event(data); })) {
    fail(Failure::malformed, "an event of more than " + std::to_string(kMaxEventBytes) + " bytes");
  }
  return outcome_.failure == Failure::none || outcome_.failure == Failure::stream;
}

void AnswerReader::take_event(std::string_view data) {
  if (data == "[DONE]") {
    done_ = true;
    outcome_.end = now_;
    return;
  }
  const StatusOr<json::value> chunk = parse_json(data);
  if (!chunk.ok() || !chunk->is_object()) {
    return fail(Failure::malformed, "an event that is no JSON object: " + std::string(data));
  }
  take_chunk(chunk->get_object());
}

void AnswerReader::take_chunk(const json::object& chunk) {
  if (const json::value* error = find(chunk, "error")) {
    return fail(Failure::stream, error_text(*error));
  }
  if (const json::object* usage = find_object(chunk, "usage")) take_usage(*usage);
  const json::value* choices = find(chunk, "choices");
  if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return;
  const json::object* choice = choices->get_array()[0].if_object();
  if (choice == nullptr) return;
  take_text(find_text(*choice, "text"));
  if (const json::object* delta = find_object(*choice, "delta")) {
    const std::string_view reasoning = find_text(*delta, "reasoning_content");
    take_text(reasoning.empty() ? find_text(*delta, "reasoning") : reasoning);
    take_text(find_text(*delta, "content"));
  }
}

void AnswerReader::take_usage(const json::object& usage) {
  outcome_.counted = true;
  outcome_.prompt_tokens = find_count(usage, "prompt_tokens");
  outcome_.output_tokens = find_count(usage, "completion_tokens");
  const json::object* details = find_object(usage, "prompt_tokens_details");
  outcome_.cached_tokens = details == nullptr ? 0 : find_count(*details, "cached_tokens");
}

void AnswerReader::take_text(std::string_view text) {
  if (text.empty()) return;
  if (++texts_ > kMaxTexts) {
    return fail(Failure::malformed, "more than " + std::to_string(kMaxTexts) + " texts");
  }
  if (texts_ == 1) {
    outcome_.first_text = now_;
  } else {
    outcome_.gaps_ms.push_back(static_cast<float>(ms_between(last_text_, now_)));
  }
  last_text_ = now_;
  if (!outcome_.counted) outcome_.output_tokens++;
  if (keep_text_ && text_.size() < kMaxAnswerBytes) text_ += text;
}

void AnswerReader::finish(TimePoint now) {
  if (!done_) outcome_.end = now;
  if (outcome_.status != 200) return fail(Failure::status, refusal(text_));
  if (!done_) fail(Failure::truncated, "the stream ended without [DONE]");
}

}  // namespace bessemer::bench
