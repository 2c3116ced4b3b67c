#include "bench/serve/dialogue.h"

namespace bessemer::bench {

void Dialogue::say(const std::string& text) {
  if (target_.chat) {
    messages_.push_back({{"role", "user"}, {"content", text}});
  } else {
    text_ += text;
  }
}

void Dialogue::hear(const std::string& answer) {
  if (target_.chat) {
    messages_.push_back({{"role", "assistant"}, {"content", answer}});
  } else {
    text_ += answer;
  }
}

std::string Dialogue::path() const {
  return target_.chat ? "/v1/chat/completions" : "/v1/completions";
}

std::string Dialogue::body(int output_tokens) const {
  json::object body{{"model", target_.model}};
  if (target_.chat) {
    body["messages"] = messages_;
  } else {
    body["prompt"] = text_;
  }
  body["max_tokens"] = output_tokens;
  body["temperature"] = 0;
  body["stream"] = true;
  body["stream_options"] = json::object{{"include_usage", true}};
  if (target_.ignore_eos) body["ignore_eos"] = true;
  for (const auto& field : target_.extra) body[field.key()] = field.value();
  return json::serialize(body);
}

}  // namespace bessemer::bench
