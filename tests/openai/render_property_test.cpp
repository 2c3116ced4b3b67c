// What a client puts together from a stream equals the whole answer of the same events.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json.h"
#include "router/openai/json_text.h"
#include "tests/openai/events.h"

namespace bessemer {
namespace {

// The JSON of each "data: " line but the last, which must be [DONE].
std::vector<json::value> chunks_of(std::string_view frames) {
  std::vector<json::value> chunks;
  bool done = false;
  while (!frames.empty()) {
    const size_t end = frames.find("\n\n");
    if (done || end == std::string_view::npos || frames.substr(0, 6) != "data: ") {
      ADD_FAILURE() << "not a frame: " << frames;
      break;
    }
    const std::string_view data = frames.substr(6, end - 6);
    frames.remove_prefix(end + 2);
    if (data == "[DONE]") {
      done = true;
      continue;
    }
    StatusOr<json::value> parsed = parse_json(data);
    EXPECT_TRUE(parsed.ok()) << parsed.status().message() << ": " << data;
    if (parsed.ok()) chunks.push_back(*std::move(parsed));
  }
  EXPECT_TRUE(done) << "the stream just stopped";
  return chunks;
}

// As clients do it: strings are concatenated, lists appended, objects merged, null gives way.
void merge(json::value& into, const json::value& from) {
  if (from.is_null()) return;
  if (into.is_null()) {
    into = from;
  } else if (into.is_string() && from.is_string()) {
    into.as_string().append(from.as_string());
  } else if (into.is_array() && from.is_array()) {
    into.as_array().insert(into.as_array().end(), from.as_array().begin(), from.as_array().end());
  } else if (into.is_object() && from.is_object()) {
    for (const auto& pair : from.as_object()) merge(into.as_object()[pair.key()], pair.value());
  } else {
    into = from;
  }
}

// Chunks put together into the shape of the whole answer.
json::value reassemble(const std::vector<json::value>& chunks, ApiKind kind, int32_t choices) {
  json::object body = chunks.front().as_object();
  json::array merged(static_cast<size_t>(choices));
  for (const json::value& chunk : chunks) {
    for (const char* key : {"id", "created", "model", "object", "system_fingerprint"}) {
      EXPECT_EQ(chunk.at(key), chunks.front().at(key)) << key << " changed";
    }
    for (const json::value& choice : chunk.at("choices").as_array()) {
      json::object part = choice.as_object();
      const int64_t index = part.at("index").as_int64();
      part.erase("index");
      merge(merged[static_cast<size_t>(index)], part);
    }
    for (const char* key : {"usage", "prompt_token_ids"}) {
      if (chunk.as_object().contains(key)) body[key] = chunk.at(key);
    }
  }
  for (int32_t i = 0; i < choices; ++i) {
    json::object& choice = merged[static_cast<size_t>(i)].as_object();
    choice["index"] = i;
    if (kind != ApiKind::chat) continue;
    json::object message = choice.at("delta").as_object();
    message["refusal"] = nullptr;
    choice["message"] = std::move(message);
    choice.erase("delta");
  }
  body["choices"] = std::move(merged);
  if (kind == ApiKind::chat) body["object"] = "chat.completion";
  return body;
}

// Empty lists are null in a stream that never had a piece to send; otherwise the two shapes are the
// same.
void drop_empty_lists(json::value& body) {
  for (json::value& choice : body.as_object()["choices"].as_array()) {
    json::object& fields = choice.as_object();
    if (json::object* logprobs = fields["logprobs"].if_object()) {
      const json::value* list = logprobs->if_contains("content");
      if (list == nullptr) list = logprobs->if_contains("tokens");
      if (list->as_array().empty()) fields["logprobs"] = nullptr;
    }
    if (const json::value* ids = fields.if_contains("token_ids");
        ids != nullptr && ids->as_array().empty()) {
      fields.erase("token_ids");
    }
  }
}

class RenderProperty : public ::testing::TestWithParam<ApiKind> {};

TEST_P(RenderProperty, a_stream_put_together_is_the_whole_answer) {
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(seed);
    const AnswerScript script = random_script(seed, GetParam());
    const std::string frames = play(script, true);
    ASSERT_TRUE(is_valid_utf8(frames));
    const std::vector<json::value> chunks = chunks_of(frames);
    ASSERT_FALSE(chunks.empty());
    json::value streamed = reassemble(chunks, GetParam(), script.head.choices);

    StatusOr<json::value> whole = parse_json(play(script, false));
    ASSERT_TRUE(whole.ok()) << whole.status().message();
    if (!script.request.include_usage) whole->as_object().erase("usage");
    drop_empty_lists(*whole);
    drop_empty_lists(streamed);
    ASSERT_EQ(streamed, *whole) << json::serialize(streamed) << "\n" << json::serialize(*whole);
  }
}

TEST_P(RenderProperty, usage_is_sent_only_when_asked_for_and_last) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    const AnswerScript script = random_script(seed, GetParam());
    const std::vector<json::value> chunks = chunks_of(play(script, true));
    for (size_t i = 0; i < chunks.size(); ++i) {
      const json::object& chunk = chunks[i].as_object();
      const bool last = i + 1 == chunks.size() && script.request.include_usage;
      EXPECT_EQ(chunk.contains("usage"), script.request.include_usage);
      EXPECT_EQ(chunk.at("choices").as_array().empty(), last);
      if (!script.request.include_usage) continue;
      EXPECT_EQ(chunk.at("usage").is_object(), last || script.request.continuous_usage_stats);
    }
  }
}

TEST_P(RenderProperty, indices_of_choices_first_appear_in_order) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    int64_t next = 0;
    for (const json::value& chunk : chunks_of(play(random_script(seed, GetParam()), true))) {
      for (const json::value& choice : chunk.at("choices").as_array()) {
        const int64_t index = choice.at("index").as_int64();
        ASSERT_LE(index, next);
        next = std::max(next, index + 1);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Both, RenderProperty,
                         ::testing::Values(ApiKind::chat, ApiKind::completion),
                         [](const auto& info) {
                           return info.param == ApiKind::chat ? "chat" : "completion";
                         });

}  // namespace
}  // namespace bessemer
