#include "cli/run/chat.h"

#include <chrono>
#include <cstdio>

#include "cli/config/fields.h"
#include "common/sse.h"

namespace bessemer {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// What the server advises a caller of its API does not help who sits at a terminal.
std::string in_terms_of_run(std::string message) {
  if (message.find("has no chat template") == std::string::npos) return message;
  return "this model has no chat template, so it cannot be talked to; choose one that was trained "
         "for chat with --model (" +
         ServeConfig{}.model + " was)";
}

// The message of an error answer, or the raw body when it is not in the API's shape.
std::string error_message(int status, const std::string& body) {
  const StatusOr<json::value> parsed = parse_json(body);
  if (parsed.ok() && parsed->is_object() && parsed->as_object().contains("error")) {
    const json::value& error = parsed->at("error");
    if (error.is_object() && error.as_object().contains("message") &&
        error.at("message").is_string()) {
      return in_terms_of_run(std::string(error.at("message").get_string()));
    }
  }
  return "the server answered with status " + std::to_string(status) +
         (body.empty() ? "" : ": " + body);
}

// Reads the chunks of one streamed answer.
class AnswerReader {
 public:
  explicit AnswerReader(Turn& turn) : turn_(&turn) {}

  void feed(std::string_view bytes) {
    readable_ = readable_ && events_.feed(bytes, [this](std::string_view data) { payload(data); });
    if (!readable_) fail("the server sent an event without end");
  }
  const Status& status() const { return status_; }

 private:
  void payload(std::string_view data) {
    if (data == "[DONE]") return;
    const StatusOr<json::value> chunk = parse_json(data);
    if (!chunk.ok() || !chunk->is_object())
      return fail("the server sent a chunk that is no JSON object");
    const json::object& fields = chunk->get_object();
    if (fields.contains("error")) return fail(error_message(200, std::string(data)));
    if (const json::value* usage = fields.if_contains("usage");
        usage != nullptr && usage->is_object()) {
      const json::value* tokens = usage->get_object().if_contains("completion_tokens");
      if (tokens != nullptr && tokens->is_int64()) turn_->tokens = tokens->get_int64();
    }
    const json::value* choices = fields.if_contains("choices");
    if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return;
    if (const json::object* choice = choices->get_array().front().if_object()) take(*choice);
  }

  void take(const json::object& choice) {
    if (const json::value* reason = choice.if_contains("finish_reason");
        reason != nullptr && reason->is_string()) {
      turn_->finish_reason = std::string(reason->get_string());
    }
    const json::value* delta = choice.if_contains("delta");
    const json::value* content = delta != nullptr && delta->is_object()
                                     ? delta->get_object().if_contains("content")
                                     : nullptr;
    if (content == nullptr || !content->is_string() || content->get_string().empty()) return;
    if (turn_->text.empty()) turn_->first_token_s = seconds_since(start_);
    const std::string_view text = content->get_string();
    turn_->text += text;
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
  void fail(const std::string& message) {
    if (status_.ok()) status_ = absl::UnavailableError(message);
  }

  Turn* turn_;
  SseParser events_;
  bool readable_ = true;
  Status status_;
  Clock::time_point start_ = Clock::now();
};

}  // namespace

Chat::Chat(ServerAddress server, ChatOptions options)
    : server_(std::move(server)), options_(std::move(options)) {}

Status Chat::choose_model() {
  if (!options_.model.empty()) return absl::OkStatus();
  std::string body;
  ASSIGN_OR_RETURN(const HttpAnswer answer,
                   http_exchange(server_, "GET", "/v1/models", "",
                                 [&](std::string_view data) { body += data; }));
  if (answer.status != 200)
    return absl::UnavailableError(error_message(answer.status, answer.body));
  ASSIGN_OR_RETURN(const json::value list, parse_json(body));
  const json::object* fields = list.if_object();
  const json::value* data = fields == nullptr ? nullptr : fields->if_contains("data");
  if (data == nullptr || !data->is_array() || data->get_array().empty()) {
    return absl::UnavailableError(server_.url() + " serves no model at the moment");
  }
  const json::object* first = data->get_array().front().if_object();
  if (first == nullptr || !first->contains("id") || !first->at("id").is_string()) {
    return absl::UnavailableError("the server's model list is not in the API's shape");
  }
  options_.model = std::string(first->at("id").get_string());
  return absl::OkStatus();
}

std::string Chat::request_body() const {
  json::array messages;
  if (!options_.system.empty())
    messages.push_back({{"role", "system"}, {"content", options_.system}});
  messages.insert(messages.end(), messages_.begin(), messages_.end());
  json::object body{{"model", options_.model},
                    {"messages", std::move(messages)},
                    {"stream", true},
                    {"stream_options", {{"include_usage", true}}}};
  if (options_.temperature >= 0) body["temperature"] = options_.temperature;
  if (options_.top_p >= 0) body["top_p"] = options_.top_p;
  if (options_.max_tokens > 0) body["max_completion_tokens"] = options_.max_tokens;
  if (options_.seed >= 0) body["seed"] = options_.seed;
  return json::serialize(body);
}

StatusOr<Turn> Chat::stream_answer() {
  Turn turn;
  AnswerReader reader(turn);
  const Interrupts interrupts;
  const auto start = Clock::now();
  const auto on_data = [&](std::string_view data) { reader.feed(data); };
  ASSIGN_OR_RETURN(const HttpAnswer answer, http_exchange(server_, "POST", "/v1/chat/completions",
                                                          request_body(), on_data, &interrupts));
  turn.total_s = seconds_since(start);
  turn.interrupted = answer.interrupted;
  if (!turn.interrupted && answer.status != 200)
    return absl::UnavailableError(error_message(answer.status, answer.body));
  RETURN_IF_ERROR(reader.status());
  messages_.push_back({{"role", "assistant"}, {"content", turn.text}});
  return turn;
}

StatusOr<Turn> Chat::ask(const std::string& text) {
  messages_.push_back({{"role", "user"}, {"content", text}});
  StatusOr<Turn> turn = stream_answer();
  if (!turn.ok()) messages_.pop_back();
  return turn;
}

StatusOr<Turn> Chat::regenerate() {
  if (messages_.empty())
    return absl::FailedPreconditionError("there is no answer to ask for again");
  json::value old = messages_.back();
  messages_.pop_back();
  StatusOr<Turn> turn = stream_answer();
  if (!turn.ok()) messages_.push_back(std::move(old));
  return turn;
}

void Chat::clear() {
  messages_.clear();
}

}  // namespace bessemer
