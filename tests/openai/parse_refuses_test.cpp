// What is refused, with the `param` and `code` that clients see and a message that says what to do.
#include <gmock/gmock.h>

#include "tests/openai/parsing.h"

namespace bessemer {
namespace {

using ::testing::HasSubstr;

constexpr const char* kInvalid = "invalid_value";
constexpr const char* kUnsupported = "unsupported_parameter";
constexpr const char* kMissing = "missing_required_parameter";

struct Refusal {
  const char* fields;  // behind the required ones
  const char* param;
  const char* code;
  const char* message;  // a part of it
};

void expect_refusal(ApiKind kind, std::string_view body, const Refusal& expected) {
  SCOPED_TRACE(body);
  const ApiError error = refused(kind, body);
  EXPECT_EQ(error.status, 400);
  EXPECT_EQ(error.type, "invalid_request_error");
  EXPECT_EQ(error.param, expected.param);
  EXPECT_EQ(error.code, expected.code);
  EXPECT_THAT(error.message, HasSubstr(expected.message));
  EXPECT_FALSE(error.retry_after_ms.has_value());
}

TEST(ParseRefuses, saying_whose_the_request_was) {
  const ParseResult result =
      parse(ApiKind::chat, R"({"model": "m", "messages": 7, "n": 0, "user": "ada"})");
  ASSERT_TRUE(std::holds_alternative<RefusedRequest>(result));
  EXPECT_EQ(std::get<RefusedRequest>(result).model, "m");
  EXPECT_EQ(std::get<RefusedRequest>(result).user, "ada");
}

// Wrong in the same way for both endpoints.
constexpr Refusal kBoth[] = {
    {R"("temperature": 2.01)", "temperature", kInvalid,
     "'temperature' must be between 0 and 2, not 2.01."},
    {R"("temperature": -0.1)", "temperature", kInvalid, "between 0 and 2"},
    {R"("temperature": "1")", "temperature", kInvalid,
     "'temperature' must be a number, not a string."},
    {R"("temperature": true)", "temperature", kInvalid, "must be a number, not a boolean"},
    {R"("temperature": [1])", "temperature", kInvalid, "not an array"},
    {R"("temperature": 1e999)", "temperature", kInvalid, "between 0 and 2"},
    {R"("top_p": 1.5)", "top_p", kInvalid, "between 0 and 1"},
    {R"("top_p": -1)", "top_p", kInvalid, "between 0 and 1"},
    {R"("min_p": 2)", "min_p", kInvalid, "between 0 and 1"},
    {R"("typical_p": 0)", "typical_p", kInvalid, "above 0"},
    {R"("top_k": -2)", "top_k", kInvalid, "between -1 and"},
    {R"("top_k": 1.0)", "top_k", kInvalid, "must be an integer, not a number with a fraction"},
    {R"("top_k": true)", "top_k", kInvalid, "must be an integer, not a boolean"},
    {R"("top_k": 99999999999999999999)", "top_k", kInvalid, "2147483647, not 1e+20"},
    {R"("frequency_penalty": 2.5)", "frequency_penalty", kInvalid, "between -2 and 2"},
    {R"("presence_penalty": -3)", "presence_penalty", kInvalid, "between -2 and 2"},
    {R"("repetition_penalty": 0)", "repetition_penalty", kInvalid, "between 0.01 and 100"},
    {R"("repetition_penalty": -1)", "repetition_penalty", kInvalid, "between 0.01 and 100"},
    {R"("seed": 1.5)", "seed", kInvalid, "an integer"},
    {R"("seed": 9223372036854775808)", "seed", kInvalid, "not 9223372036854775808"},
    {R"("seed": "7")", "seed", kInvalid, "an integer"},
    {R"("n": 0)", "n", kInvalid, "between 1 and 128, not 0"},
    {R"("n": 129)", "n", kInvalid, "between 1 and 128, not 129"},
    {R"("n": true)", "n", kInvalid, "an integer"},
    {R"("n": 1.0)", "n", kInvalid, "an integer"},
    {R"("max_tokens": -1)", "max_tokens", kInvalid, "not -1"},
    {R"("max_tokens": 2147483648)", "max_tokens", kInvalid, "2147483647"},
    {R"("max_tokens": "16")", "max_tokens", kInvalid, "an integer, not a string"},
    {R"("max_tokens": 5, "min_tokens": 6)", "min_tokens", kInvalid, "(5)"},
    {R"("min_tokens": -1)", "min_tokens", kInvalid, "between 0 and"},
    {R"("stream": "true")", "stream", kInvalid, "a boolean"},
    {R"("stream": 1)", "stream", kInvalid, "a boolean, not an integer"},
    {R"("stream_options": {"include_usage": true})", "stream_options", kInvalid, "needs 'stream'"},
    {R"("stream": false, "stream_options": {})", "stream_options", kInvalid, "needs 'stream'"},
    {R"("stream": true, "stream_options": [])", "stream_options", kInvalid, "an object"},
    {R"("stream": true, "stream_options": {"include_usage": 1})", "stream_options.include_usage",
     kInvalid, "a boolean"},
    {R"("stream": true, "stream_options": {"usage": true})", "stream_options.usage", kUnsupported,
     "not a parameter"},
    {R"("stream": true, "stream_options": {"includeusage": true})", "stream_options.includeusage",
     kUnsupported, "Did you mean 'stream_options.include_usage'?"},
    {R"("stream": true, "stream_options": {"continuous_usage_stats": true})",
     "stream_options.continuous_usage_stats", kInvalid, "include_usage"},
    {R"("stream": true, "stream_options": {"include_obfuscation": true})",
     "stream_options.include_obfuscation", kUnsupported, "padded"},
    {R"("stop": "")", "stop", kInvalid, "empty"},
    {R"("stop": ["a", ""])", "stop[1]", kInvalid, "empty"},
    {R"("stop": [1])", "stop[0]", kInvalid, "a string, not an integer"},
    {R"("stop": 5)", "stop", kInvalid, "a string or an array"},
    {R"("stop": {"a": 1})", "stop", kInvalid, "a string or an array"},
    {R"("stop": ["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"])",
     "stop", kInvalid, "at most 16"},
    {R"("logit_bias": {"a": 1})", "logit_bias", kInvalid, "token ids"},
    {R"("logit_bias": {"-1": 1})", "logit_bias", kInvalid, "token ids"},
    {R"("logit_bias": {"1.0": 1})", "logit_bias", kInvalid, "token ids"},
    {R"("logit_bias": {"": 1})", "logit_bias", kInvalid, "token ids"},
    {R"("logit_bias": {"07": 1})", "logit_bias", kInvalid, "token ids"},
    {R"("logit_bias": {"99999999999": 1})", "logit_bias", kInvalid, "token ids"},
    {R"("logit_bias": {"5": 101})", "logit_bias.5", kInvalid, "between -100 and 100, not 101"},
    {R"("logit_bias": {"5": "1"})", "logit_bias.5", kInvalid, "a number"},
    {R"("logit_bias": {"5": null})", "logit_bias.5", kInvalid, "a number, not null"},
    {R"("logit_bias": [[5, 1]])", "logit_bias", kInvalid, "an object, not an array"},
    {R"("allowed_token_ids": [])", "allowed_token_ids", kInvalid, "nothing could be generated"},
    {R"("allowed_token_ids": [1, -2])", "allowed_token_ids[1]", kInvalid, "not -2"},
    {R"("allowed_token_ids": ["1"])", "allowed_token_ids[0]", kInvalid, "an integer"},
    {R"("allowed_token_ids": 5)", "allowed_token_ids", kInvalid, "an array"},
    {R"("stop_token_ids": [2147483648])", "stop_token_ids[0]", kInvalid, "2147483648"},
    {R"("stop_token_ids": [true])", "stop_token_ids[0]", kInvalid, "an integer"},
    {R"("bad_words": "no")", "bad_words", kInvalid, "an array"},
    {R"("bad_words": [""])", "bad_words[0]", kInvalid, "empty"},
    {R"("ignore_eos": 1)", "ignore_eos", kInvalid, "a boolean"},
    {R"("skip_special_tokens": "no")", "skip_special_tokens", kInvalid, "a boolean"},
    {R"("prompt_logprobs": 21)", "prompt_logprobs", kInvalid, "between 0 and 20"},
    {R"("prompt_logprobs": 1, "stream": true)", "prompt_logprobs", kInvalid, "'stream'"},
    {R"("truncate_prompt_tokens": 0)", "truncate_prompt_tokens", kInvalid, "at least 1"},
    {R"("truncate_prompt_tokens": -2)", "truncate_prompt_tokens", kInvalid, "between -1"},
    {R"("priority": 2147483648)", "priority", kInvalid, "between"},
    {R"("cache_salt": "")", "cache_salt", kInvalid, "empty"},
    {R"("cache_salt": 5)", "cache_salt", kInvalid, "a string"},
    {R"("user": 5)", "user", kInvalid, "a string"},
    {R"("return_token_ids": 1)", "return_token_ids", kInvalid, "a boolean"},
    {R"("response_format": {"type": "xml"})", "response_format.type", kInvalid, "'json_object'"},
    {R"("response_format": {})", "response_format.type", kMissing, "required"},
    {R"("response_format": "json")", "response_format", kInvalid, "an object"},
    {R"("response_format": {"type": "json_schema"})", "response_format.json_schema", kMissing,
     "required"},
    {R"("response_format": {"type": "json_schema", "json_schema": {}})",
     "response_format.json_schema.name", kMissing, "required"},
    {R"("response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}})",
     "response_format", kUnsupported, "text"},
    {R"("response_format": {"type": "json_object"})", "response_format", kUnsupported, "text"},
    {R"("structured_outputs": {"regex": "a", "choice": ["b"]})", "structured_outputs", kInvalid,
     "only one"},
    {R"("structured_outputs": {"regex": "a"}, "response_format": {"type": "json_object"})",
     "structured_outputs", kInvalid, "only one"},
    {R"("guided_regex": "a", "guided_choice": ["a"])", "guided_choice", kInvalid, "only one"},
    {R"("structured_outputs": {})", "structured_outputs", kInvalid, "'regex'"},
    {R"("structured_outputs": {"regexp": "a"})", "structured_outputs.regexp", kUnsupported,
     "'structured_outputs.regex'"},
    {R"("structured_outputs": {"regex": "a"})", "structured_outputs", kUnsupported,
     "not supported"},
    {R"("guided_json": {})", "guided_json", kUnsupported, "not supported"},
    {R"("use_beam_search": true)", "use_beam_search", kUnsupported, "not supported"},
    {R"("logits_processors": [])", "logits_processors", kUnsupported, "not supported"},
    {R"("temprature": 1)", "temprature", kUnsupported, "Did you mean 'temperature'?"},
    {R"("maxTokens": 1)", "maxTokens", kUnsupported, "Did you mean 'max_tokens'?"},
    {R"("top-k": 1)", "top-k", kUnsupported, "Did you mean 'top_k'?"},
    {R"("zzzzzzzzzzzz": 1)", "zzzzzzzzzzzz", kUnsupported,
     "'zzzzzzzzzzzz' is not a parameter of this request."},
    {R"("": 1)", "", kUnsupported, "not a parameter"},
};

TEST(ParseRefuses, in_both_endpoints) {
  for (const Refusal& refusal : kBoth) {
    expect_refusal(ApiKind::chat, chat_body(refusal.fields), refusal);
    expect_refusal(ApiKind::completion, completion_body(refusal.fields), refusal);
  }
}

TEST(ParseRefuses, in_chat) {
  constexpr Refusal kCases[] = {
      {R"("max_tokens": 0)", "max_tokens", kInvalid, "between 1"},
      {R"("max_tokens": 1, "max_completion_tokens": 2)", "max_tokens", kInvalid, "differ"},
      {R"("max_completion_tokens": 0)", "max_completion_tokens", kInvalid, "between 1"},
      {R"("logprobs": 1)", "logprobs", kInvalid, "a boolean"},
      {R"("top_logprobs": 5)", "top_logprobs", kInvalid, "needs 'logprobs'"},
      {R"("top_logprobs": 5, "logprobs": false)", "top_logprobs", kInvalid, "needs 'logprobs'"},
      {R"("top_logprobs": 21, "logprobs": true)", "top_logprobs", kInvalid,
       "between 0 and 20, not 21"},
      {R"("top_logprobs": -1, "logprobs": true)", "top_logprobs", kInvalid,
       "between 0 and 20, not -1"},
      {R"("tools": [])", "tools", kInvalid, "at least one"},
      {R"("tools": {})", "tools", kInvalid, "an array"},
      {R"("tools": [5])", "tools[0]", kInvalid, "an object"},
      {R"("tools": [{"type": "function"}])", "tools[0].function", kMissing, "required"},
      {R"("tools": [{"type": "custom", "custom": {"name": "f"}}])", "tools[0].type", kInvalid,
       "'function'"},
      {R"("tools": [{"type": "function", "function": {}}])", "tools[0].function.name", kMissing,
       "required"},
      {R"("tools": [{"type": "function", "function": {"name": "f"}}])", "tools", kUnsupported,
       "not supported"},
      {R"("tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "any")",
       "tool_choice", kInvalid, "'required'"},
      {R"("tools": [{"type": "function", "function": {"name": "f"}}],
          "tool_choice": {"type": "function", "function": {"name": "g"}})",
       "tool_choice.function.name", kInvalid, "'g'"},
      {R"("tools": [{"type": "function", "function": {"name": "f"}}],
          "tool_choice": {"type": "function", "function": {"name": "f"}})",
       "tools", kUnsupported, "not supported"},
      {R"("tool_choice": "auto")", "tool_choice", kInvalid, "only allowed with 'tools'"},
      {R"("parallel_tool_calls": true)", "parallel_tool_calls", kInvalid,
       "only allowed with 'tools'"},
      {R"("functions": [])", "functions", kUnsupported, "old form"},
      {R"("function_call": "auto")", "function_call", kUnsupported, "old form"},
      {R"("audio": {"voice": "x", "format": "wav"})", "audio", kUnsupported, "voice"},
      {R"("modalities": ["text", "audio"])", "modalities", kUnsupported, "text"},
      {R"("modalities": [])", "modalities", kUnsupported, "text"},
      {R"("modalities": "text")", "modalities", kInvalid, "an array"},
      {R"("prediction": {"type": "content", "content": "x"})", "prediction", kUnsupported,
       "not supported"},
      {R"("web_search_options": {})", "web_search_options", kUnsupported, "not supported"},
      {R"("store": true)", "store", kUnsupported, "stored"},
      {R"("store": 0)", "store", kInvalid, "a boolean"},
      {R"("service_tier": "gold")", "service_tier", kInvalid, "'default'"},
      {R"("verbosity": "loud")", "verbosity", kInvalid, "'medium'"},
      {R"("reasoning_effort": "max")", "reasoning_effort", kInvalid, "'high'"},
      {R"("metadata": [])", "metadata", kInvalid, "an object"},
      {R"("metadata": {"a": 1})", "metadata.a", kInvalid, "a string"},
      {R"("chat_template": "{{ x }}")", "chat_template", kUnsupported, "template"},
      {R"("chat_template_kwargs": [])", "chat_template_kwargs", kInvalid, "an object"},
      {R"("chat_template_kwargs": {"messages": []})", "chat_template_kwargs.messages", kInvalid,
       "cannot be set here"},
      {R"("chat_template_kwargs": {"bos_token": ""})", "chat_template_kwargs.bos_token", kInvalid,
       "cannot be set here"},
      {R"("add_generation_prompt": true, "continue_final_message": true)", "continue_final_message",
       kInvalid, "both"},
      {R"("echo": true)", "echo", kUnsupported, "continue_final_message"},
      {R"("best_of": 1)", "best_of", kUnsupported, "not a parameter"},
      {R"("prompt": "x")", "prompt", kUnsupported, "not a parameter"},
      {R"("suffix": "x")", "suffix", kUnsupported, "not a parameter"},
  };
  for (const Refusal& refusal : kCases)
    expect_refusal(ApiKind::chat, chat_body(refusal.fields), refusal);
}

TEST(ParseRefuses, in_messages) {
  constexpr Refusal kCases[] = {
      {"[]", "messages", kInvalid, "at least one"},
      {"{}", "messages", kInvalid, "an array"},
      {R"("hello")", "messages", kInvalid, "an array, not a string"},
      {"null", "messages", kMissing, "required"},
      {"[5]", "messages[0]", kInvalid, "an object"},
      {R"([{"content": "x"}])", "messages[0].role", kMissing, "required"},
      {R"([{"role": "robot", "content": "x"}])", "messages[0].role", kInvalid, "not 'robot'"},
      {R"([{"role": 5, "content": "x"}])", "messages[0].role", kInvalid, "a string"},
      {R"([{"role": "function", "name": "f", "content": "x"}])", "messages[0].role", kUnsupported,
       "'tool'"},
      {R"([{"role": "user"}])", "messages[0].content", kMissing, "required"},
      {R"([{"role": "user", "content": null}])", "messages[0].content", kMissing, "required"},
      {R"([{"role": "user", "content": 5}])", "messages[0].content", kInvalid,
       "a string or an array"},
      {R"([{"role": "user", "content": []}])", "messages[0].content", kInvalid,
       "at least one part"},
      {R"([{"role": "user", "content": ["x"]}])", "messages[0].content[0]", kInvalid, "an object"},
      {R"([{"role": "user", "content": [{"text": "x"}]}])", "messages[0].content[0].type", kMissing,
       "required"},
      {R"([{"role": "user", "content": [{"type": "text"}]}])", "messages[0].content[0].text",
       kMissing, "required"},
      {R"([{"role": "user", "content": [{"type": "text", "text": 1}]}])",
       "messages[0].content[0].text", kInvalid, "a string"},
      {R"([{"role": "user", "content": [{"type": "text", "text": "x", "txt": 1}]}])",
       "messages[0].content[0].txt", kUnsupported, "not a parameter"},
      {R"([{"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "image_url", "image_url": {}}]}])",
       "messages[1].content[0].type", kInvalid, "'image_url'"},
      {R"([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "hologram"}]}])",
       "messages[0].content[1].type", kInvalid, "'hologram'"},
      {R"([{"role": "user", "content": [{"type": 5}]}])", "messages[0].content[0].type", kInvalid,
       "'text'"},
      {R"([{"role": "assistant", "content": null}])", "messages[0].content", kMissing, "required"},
      {R"([{"role": "assistant", "content": "x", "audio": {"id": "1"}}])", "messages[0].audio",
       kUnsupported, "voice"},
      {R"([{"role": "assistant", "content": "x", "function_call": {}}])",
       "messages[0].function_call", kUnsupported, "tool_calls"},
      {R"([{"role": "assistant", "tool_calls": [{}]}])", "messages[0].tool_calls[0].id", kMissing,
       "required"},
      {R"([{"role": "assistant", "tool_calls": [{"id": "1", "function": {"arguments": "{}"}}]}])",
       "messages[0].tool_calls[0].function.name", kMissing, "required"},
      {R"([{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {}}}]}])",
       "messages[0].tool_calls[0].function.arguments", kInvalid, "a string, not an object"},
      {R"([{"role": "user", "content": "x", "tool_calls": []}])", "messages[0].tool_calls",
       kUnsupported, "not a parameter"},
      {R"([{"role": "tool", "content": "x"}])", "messages[0].tool_call_id", kMissing, "required"},
      {R"([{"role": "user", "content": "x", "nmae": "bo"}])", "messages[0].nmae", kUnsupported,
       "'messages[0].name'"},
      {R"([{"role": "user", "content": "x", "name": 5}])", "messages[0].name", kInvalid,
       "a string"},
  };
  for (const Refusal& refusal : kCases)
    expect_refusal(ApiKind::chat, messages_body(refusal.fields), refusal);
}

TEST(ParseRefuses, in_completions) {
  constexpr Refusal kCases[] = {
      {R"("logprobs": true)", "logprobs", kInvalid, "an integer, not a boolean"},
      {R"("logprobs": 21)", "logprobs", kInvalid, "between 0 and 20"},
      {R"("logprobs": -1)", "logprobs", kInvalid, "between 0 and 20"},
      {R"("max_tokens": 0)", "max_tokens", kInvalid, "unless 'echo'"},
      {R"("n": 2, "best_of": 1)", "best_of", kInvalid, "at least 'n'"},
      {R"("best_of": 2)", "best_of", kUnsupported, "not supported"},
      {R"("suffix": "x")", "suffix", kUnsupported, "middle"},
      {R"("echo": 1)", "echo", kInvalid, "a boolean"},
      {R"("messages": [])", "messages", kUnsupported, "not a parameter"},
      {R"("top_logprobs": 1)", "top_logprobs", kUnsupported, "not a parameter"},
      {R"("max_completion_tokens": 1)", "max_completion_tokens", kUnsupported, "not a parameter"},
      {R"("tools": [])", "tools", kUnsupported, "not a parameter"},
  };
  for (const Refusal& refusal : kCases)
    expect_refusal(ApiKind::completion, completion_body(refusal.fields), refusal);
}

TEST(ParseRefuses, in_prompts) {
  constexpr Refusal kCases[] = {
      {"null", "prompt", kMissing, "required"},
      {"5", "prompt", kInvalid, "a string or an array"},
      {"{}", "prompt", kInvalid, "a string or an array"},
      {"[]", "prompt", kInvalid, "empty"},
      {"[[]]", "prompt[0]", kInvalid, "empty"},
      {"[1, \"a\"]", "prompt[1]", kInvalid, "an integer, not a string"},
      {"[\"a\", 1]", "prompt[1]", kInvalid, "a string, not an integer"},
      {"[[1], 2]", "prompt[1]", kInvalid, "an array, not an integer"},
      {"[[1], [2, -3]]", "prompt[1][1]", kInvalid, "not -3"},
      {"[1.5]", "prompt[0]", kInvalid, "an integer"},
      {"[null]", "prompt[0]", kInvalid, "an array, not null"},
  };
  for (const Refusal& refusal : kCases) {
    expect_refusal(ApiKind::completion,
                   R"({"model": "m", "prompt": )" + std::string(refusal.fields) + "}", refusal);
  }
}

TEST(ParseRefuses, too_many_answers) {
  std::string prompts = R"(["a")";
  for (int i = 0; i < 1023; ++i) prompts += R"(,"a")";
  const std::string body = R"({"model": "m", "n": 3, "prompt": )" + prompts + "]}";
  expect_refusal(ApiKind::completion, body, {"", "n", kInvalid, "3072, above 2048"});
}

TEST(ParseRefuses, more_allowed_ids_than_fit_a_frame) {
  std::string ids = "1";
  for (int i = 0; i < 32 * 1024; ++i) ids += ",1";
  expect_refusal(ApiKind::chat, chat_body("\"allowed_token_ids\":[" + ids + "]"),
                 {"", "allowed_token_ids", kInvalid, "at most 32768"});
}

TEST(ParseRefuses, missing_model) {
  constexpr const char* kMessages = R"("messages": [{"role": "user", "content": "hi"}])";
  const auto body = [](const std::string& model) { return "{" + model + kMessages + "}"; };
  expect_refusal(ApiKind::chat, body(""), {"", "model", kMissing, "required"});
  expect_refusal(ApiKind::chat, body(R"("model": null,)"), {"", "model", kMissing, "required"});
  expect_refusal(ApiKind::chat, body(R"("model": 5,)"), {"", "model", kInvalid, "a string"});
  expect_refusal(ApiKind::chat, body(R"("model": "",)"), {"", "model", kInvalid, "empty"});
}

TEST(ParseRefuses, metadata_over_its_bounds) {
  std::string pairs;
  for (int i = 0; i < 17; ++i)
    pairs += (i > 0 ? "," : "") + ("\"" + std::to_string(i) + "\":\"x\"");
  expect_refusal(ApiKind::chat, chat_body("\"metadata\":{" + pairs + "}"),
                 {"", "metadata", kInvalid, "at most 16"});
  const std::string long_key = "\"metadata\":{\"" + std::string(65, 'k') + "\":\"x\"}";
  expect_refusal(ApiKind::chat, chat_body(long_key), {"", "metadata", kInvalid, "64 characters"});
  const std::string long_value = "\"metadata\":{\"k\":\"" + std::string(513, 'v') + "\"}";
  expect_refusal(ApiKind::chat, chat_body(long_value),
                 {"", "metadata.k", kInvalid, "at most 512 characters"});
}

struct BadBody {
  const char* name;
  std::string body;
  const char* message;
};

TEST(ParseRefuses, what_is_no_json_object) {
  const std::string deep(100'000, '[');
  const BadBody bodies[] = {
      {"empty", "", "empty"},
      {"blank", " \r\n\t", "empty"},
      {"array", "[]", "must be a JSON object"},
      {"string", "\"x\"", "must be a JSON object"},
      {"number", "5", "must be a JSON object"},
      {"null", "null", "must be a JSON object"},
      {"cut off", R"({"model": "m", )", "not valid JSON"},
      {"trailing comma", R"({"model": "m",})", "not valid JSON"},
      {"two values", "{} {}", "extra data"},
      {"single quotes", "{'model': 'm'}", "not valid JSON"},
      {"comment", "{} // x", "extra data"},
      {"not a number", chat_body("\"temperature\": NaN"), "not valid JSON"},
      {"infinity", chat_body("\"temperature\": Infinity"), "not valid JSON"},
      {"leading zero", chat_body("\"n\": 01"), "not valid JSON"},
      {"byte order mark", "\xEF\xBB\xBF" + chat_body(""), "not valid JSON"},
      {"invalid UTF-8", chat_body("\"user\": \"\xFF\""), "not valid JSON"},
      {"overlong UTF-8", chat_body("\"user\": \"\xC0\x80\""), "not valid JSON"},
      {"lone surrogate", chat_body("\"user\": \"\\ud800\""), "not valid JSON"},
      {"control character", chat_body("\"user\": \"\n\""), "not valid JSON"},
      {"NUL", std::string("{\0}", 3), "not valid JSON"},
      {"deep", deep, "not valid JSON"},
      {"deep inside", chat_body("\"logit_bias\": " + deep), "not valid JSON"},
  };
  for (const BadBody& bad : bodies) {
    for (const ApiKind kind : {ApiKind::chat, ApiKind::completion}) {
      SCOPED_TRACE(bad.name);
      const ApiError error = refused(kind, bad.body);
      EXPECT_EQ(error.status, 400);
      EXPECT_EQ(error.param, std::nullopt);
      EXPECT_EQ(error.code, std::nullopt);
      EXPECT_THAT(error.message, HasSubstr(bad.message));
    }
  }
}

TEST(ParseRefuses, names_of_any_length_without_effort) {
  const std::string name(1 << 20, 'x');
  const ApiError error = refused(ApiKind::chat, chat_body("\"" + name + "\": 1"));
  EXPECT_LT(error.message.size(), 200u);
  EXPECT_EQ(error.code, kUnsupported);
}

}  // namespace
}  // namespace bessemer
