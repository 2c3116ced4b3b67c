// What a request may say, and where it lands.
#include <gmock/gmock.h>

#include "tests/openai/parsing.h"

namespace bessemer {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

TEST(ParseChat, defaults) {
  const ValidRequest request = chat();
  EXPECT_EQ(request.kind, ApiKind::chat);
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(json::serialize(request.messages), R"([{"role":"user","content":"hi"}])");
  EXPECT_EQ(request.n, 1);
  EXPECT_EQ(request.max_tokens, std::nullopt);
  EXPECT_EQ(request.top_logprobs, -1);
  EXPECT_EQ(request.prompt_logprobs, -1);
  EXPECT_TRUE(request.add_generation_prompt);
  EXPECT_FALSE(request.continue_final_message);
  EXPECT_TRUE(request.skip_special_tokens);
  EXPECT_FALSE(request.stream || request.include_usage || request.continuous_usage_stats ||
               request.return_token_ids);
  EXPECT_EQ(request.sampling.temperature, std::nullopt);
  EXPECT_EQ(request.sampling.seed, std::nullopt);
  EXPECT_EQ(request.sampling.repetition_penalty, 1);
}

TEST(ParseChat, every_sampling_parameter_lands) {
  const SamplingSpec sampling =
      chat(R"("temperature": 0.5, "top_p": 0.25, "min_p": 0.125, "typical_p": 0.75, "top_k": 40,
      "frequency_penalty": -2, "presence_penalty": 2, "repetition_penalty": 1.5, "seed": -1, "min_tokens": 3,
      "logit_bias": {"5": -100, "17": 2.5}, "allowed_token_ids": [1, 2], "bad_words": ["no"], "stop_token_ids": [7],
      "ignore_eos": true)")
          .sampling;
  EXPECT_EQ(sampling.temperature, 0.5);
  EXPECT_EQ(sampling.top_p, 0.25);
  EXPECT_EQ(sampling.min_p, 0.125);
  EXPECT_EQ(sampling.typical_p, 0.75);
  EXPECT_EQ(sampling.top_k, 40);
  EXPECT_EQ(sampling.frequency_penalty, -2);
  EXPECT_EQ(sampling.presence_penalty, 2);
  EXPECT_EQ(sampling.repetition_penalty, 1.5);
  EXPECT_EQ(sampling.seed, UINT64_MAX);
  EXPECT_EQ(sampling.min_tokens, 3);
  EXPECT_THAT(sampling.logit_bias, UnorderedElementsAre(Pair(5, -100.0f), Pair(17, 2.5f)));
  EXPECT_THAT(sampling.allowed_token_ids, ElementsAre(1, 2));
  EXPECT_THAT(sampling.bad_words, ElementsAre("no"));
  EXPECT_THAT(sampling.stop_token_ids, ElementsAre(7));
  EXPECT_TRUE(sampling.ignore_eos);
}

TEST(ParseChat, every_other_parameter_lands) {
  const ValidRequest request =
      chat(R"("n": 3, "max_completion_tokens": 9, "stop": ["a", "b"], "stream": true,
      "stream_options": {"include_usage": true, "continuous_usage_stats": true, "include_obfuscation": false},
      "logprobs": true, "top_logprobs": 4, "include_stop_str_in_output": true, "skip_special_tokens": false,
      "return_token_ids": true, "truncate_prompt_tokens": 100, "priority": -3, "cache_salt": "s", "user": "u",
      "metadata": {"a": "b"}, "chat_template_kwargs": {"thinking": false}, "reasoning_effort": "low",
      "add_generation_prompt": false)");
  EXPECT_EQ(request.n, 3);
  EXPECT_EQ(request.max_tokens, 9);
  EXPECT_THAT(request.stop, ElementsAre("a", "b"));
  EXPECT_TRUE(request.stream && request.include_usage && request.continuous_usage_stats);
  EXPECT_EQ(request.top_logprobs, 4);
  EXPECT_TRUE(request.include_stop_str_in_output);
  EXPECT_FALSE(request.skip_special_tokens);
  EXPECT_TRUE(request.return_token_ids);
  EXPECT_EQ(request.truncate_prompt_tokens, 100);
  EXPECT_EQ(request.priority, -3);
  EXPECT_EQ(request.cache_salt, "s");
  EXPECT_EQ(request.user, "u");
  EXPECT_THAT(request.metadata, ElementsAre(Pair("a", "b")));
  std::string long_text;
  for (int i = 0; i < 512; i++) long_text += "\xc3\xa9";
  EXPECT_EQ(chat(R"("metadata": {"k": ")" + long_text + R"("})").metadata.at("k"), long_text)
      << "characters are counted, not bytes";
  EXPECT_EQ(json::serialize(request.chat_template_kwargs),
            R"({"thinking":false,"reasoning_effort":"low"})");
  EXPECT_FALSE(request.add_generation_prompt);
}

TEST(ParseChat, null_is_absent) {
  const ValidRequest request =
      chat(R"("temperature": null, "n": null, "stop": null, "tools": null, "stream": null,
      "stream_options": null, "response_format": null, "logprobs": null, "top_logprobs": null, "logit_bias": null,
      "max_tokens": null, "seed": null, "user": null, "functions": null, "audio": null, "modalities": null,
      "structured_outputs": null, "metadata": null, "store": null)");
  EXPECT_EQ(request.n, 1);
  EXPECT_EQ(request.max_tokens, std::nullopt);
}

TEST(ParseChat, what_asks_for_what_happens_anyway_is_taken) {
  for (const char* fields :
       {R"("response_format": {"type": "text"})", R"("modalities": ["text"])",
        R"("use_beam_search": false)", R"("echo": false)", R"("store": false)",
        R"("service_tier": "auto")", R"("safety_identifier": "x")", R"("prompt_cache_key": "x")",
        R"("verbosity": "low")", R"("spaces_between_special_tokens": true)",
        R"("add_special_tokens": false)", R"("include_reasoning": true)", R"("logprobs": false)"}) {
    SCOPED_TRACE(fields);
    chat(fields);
  }
}

TEST(ParseChat, bounds_themselves_are_taken) {
  for (const char* fields : {R"("temperature": 0)",
                             R"("temperature": 2.0)",
                             R"("top_p": 1)",
                             R"("min_p": 0)",
                             R"("min_p": 1)",
                             R"("n": 128)",
                             R"("top_k": 2147483647)",
                             R"("logprobs": true, "top_logprobs": 20)",
                             R"("logprobs": true, "top_logprobs": 0)",
                             R"("seed": 9223372036854775807)",
                             R"("seed": -9223372036854775808)",
                             R"("max_tokens": 1)",
                             R"("max_tokens": 2147483647)",
                             R"("logit_bias": {"0": 100, "2147483647": -100})",
                             R"("prompt_logprobs": 20)",
                             R"("truncate_prompt_tokens": -1)",
                             R"("min_tokens": 5, "max_tokens": 5)",
                             R"("stop": [])",
                             R"("max_tokens": 5, "max_completion_tokens": 5)",
                             R"("temperature": 1e-3)"}) {
    SCOPED_TRACE(fields);
    chat(fields);
  }
}

TEST(ParseChat, two_ways_to_say_all_tokens) {
  EXPECT_EQ(chat(R"("top_k": -1)").sampling.top_k, 0);
  EXPECT_EQ(chat(R"("top_k": 0)").sampling.top_k, 0);
}

TEST(ParseChat, top_p_of_zero_leaves_the_most_likely) {
  const double top_p = chat(R"("top_p": 0)").sampling.top_p.value_or(1);
  EXPECT_GT(static_cast<float>(top_p), 0.0f);
  EXPECT_LT(top_p, 1e-30);
}

TEST(ParseChat, logprobs_without_alternatives) {
  EXPECT_EQ(chat(R"("logprobs": true)").top_logprobs, 0);
  EXPECT_EQ(chat(R"("logprobs": false)").top_logprobs, -1);
}

TEST(ParseChat, max_tokens_is_the_older_name) {
  EXPECT_EQ(chat(R"("max_tokens": 7)").max_tokens, 7);
  EXPECT_EQ(chat(R"("max_completion_tokens": 8)").max_tokens, 8);
}

TEST(ParseChat, stop_may_be_one_string) {
  EXPECT_THAT(chat(R"("stop": "\n\n")").stop, ElementsAre("\n\n"));
}

TEST(ParseChat, continuing_the_last_message_needs_no_prompt) {
  const ValidRequest request = chat(R"("continue_final_message": true)");
  EXPECT_TRUE(request.continue_final_message);
  EXPECT_FALSE(request.add_generation_prompt);
}

TEST(ParseChat, the_last_of_equal_keys_counts) {
  EXPECT_EQ(chat(R"("n": 2, "n": 3)").n, 3);
}

TEST(ParseChat, white_space_around_the_object) {
  taken(ApiKind::chat, "\r\n\t " + chat_body("") + " \n");
}

struct MessageCase {
  const char* name;
  const char* sent;
  const char* kept;
};

class ParseMessages : public ::testing::TestWithParam<MessageCase> {};

TEST_P(ParseMessages, become) {
  const ValidRequest request =
      taken(ApiKind::chat, messages_body("[" + std::string(GetParam().sent) + "]"));
  EXPECT_EQ(json::serialize(request.messages), "[" + std::string(GetParam().kept) + "]");
}

INSTANTIATE_TEST_SUITE_P(
    All, ParseMessages,
    ::testing::Values(
        MessageCase{"system", R"({"role":"system","content":"s"})",
                    R"({"role":"system","content":"s"})"},
        MessageCase{"developer_is_system", R"({"role":"developer","content":"s"})",
                    R"({"role":"system","content":"s"})"},
        MessageCase{"assistant", R"({"role":"assistant","content":"a"})",
                    R"({"role":"assistant","content":"a"})"},
        MessageCase{"empty_content", R"({"role":"assistant","content":""})",
                    R"({"role":"assistant","content":""})"},
        MessageCase{"name", R"({"role":"user","name":"bo","content":"x"})",
                    R"({"role":"user","content":"x","name":"bo"})"},
        MessageCase{"one_part", R"({"role":"user","content":[{"type":"text","text":"x"}]})",
                    R"({"role":"user","content":"x"})"},
        MessageCase{
            "parts_are_lines",
            R"({"role":"user","content":[{"type":"text","text":"x"},{"type":"text","text":"y"}]})",
            R"({"role":"user","content":"x\ny"})"},
        MessageCase{"evaluation_harness", R"({"role":"user","content":"x","type":"text"})",
                    R"({"role":"user","content":"x"})"},
        MessageCase{
            "answer_sent_back",
            R"({"content":"x","refusal":null,"role":"assistant","annotations":[],"audio":null,)"
            R"("function_call":null,"tool_calls":null})",
            R"({"role":"assistant","content":"x"})"},
        MessageCase{"no_tool_calls", R"({"role":"assistant","content":"x","tool_calls":[]})",
                    R"({"role":"assistant","content":"x"})"},
        MessageCase{
            "tool_calls",
            R"({"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function",)"
            R"("function":{"name":"f","arguments":"{\"a\":1}"}}]})",
            R"({"role":"assistant","tool_calls":[{"id":"1","type":"function",)"
            R"("function":{"name":"f","arguments":{"a":1}}}],"content":""})"},
        MessageCase{
            "arguments_that_are_no_json",
            R"({"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{oops"}}]})",
            R"({"role":"assistant","tool_calls":[{"id":"1","type":"function",)"
            R"("function":{"name":"f","arguments":"{oops"}}],"content":""})"},
        MessageCase{
            "no_arguments",
            R"({"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":""}}]})",
            R"({"role":"assistant","tool_calls":[{"id":"1","type":"function",)"
            R"("function":{"name":"f","arguments":{}}}],"content":""})"},
        MessageCase{"tool_result", R"({"role":"tool","tool_call_id":"1","content":"42"})",
                    R"({"role":"tool","tool_call_id":"1","content":"42"})"},
        MessageCase{"reasoning", R"({"role":"assistant","content":"x","reasoning_content":"r"})",
                    R"({"role":"assistant","reasoning_content":"r","content":"x"})"},
        MessageCase{"unicode", R"({"role":"user","content":"\u00e9\ud83d\ude00\u0000"})",
                    "{\"role\":\"user\",\"content\":\"\xC3\xA9\xF0\x9F\x98\x80\\u0000\"}"}),
    [](const auto& info) { return info.param.name; });

TEST(ParseCompletion, defaults) {
  const ValidRequest request = completion();
  EXPECT_EQ(request.kind, ApiKind::completion);
  EXPECT_EQ(request.max_tokens, 16);
  EXPECT_FALSE(request.echo);
  EXPECT_THAT(request.prompts, ElementsAre(Prompt("hi")));
}

TEST(ParseCompletion, the_four_forms_of_prompt) {
  const auto prompts = [](std::string_view prompt) {
    return taken(ApiKind::completion, R"({"model": "m", "prompt": )" + std::string(prompt) + "}")
        .prompts;
  };
  using Ids = std::vector<int32_t>;
  EXPECT_THAT(prompts(R"("a")"), ElementsAre(Prompt("a")));
  EXPECT_THAT(prompts(R"("")"), ElementsAre(Prompt("")));
  EXPECT_THAT(prompts(R"(["a", "b"])"), ElementsAre(Prompt("a"), Prompt("b")));
  EXPECT_THAT(prompts("[1, 2, 3]"), ElementsAre(Prompt(Ids{1, 2, 3})));
  EXPECT_THAT(prompts("[[1], [2, 3]]"), ElementsAre(Prompt(Ids{1}), Prompt(Ids{2, 3})));
}

TEST(ParseCompletion, what_evaluation_harnesses_send) {
  const ValidRequest request =
      taken(ApiKind::completion, R"({"model": "m", "prompt": [[5, 6, 7]], "echo": true,
      "max_tokens": 0, "temperature": 0, "logprobs": 1, "seed": 1234})");
  EXPECT_TRUE(request.echo);
  EXPECT_EQ(request.max_tokens, 0);
  EXPECT_EQ(request.top_logprobs, 1);
}

TEST(ParseCompletion, what_benchmark_clients_send) {
  const ValidRequest request =
      completion(R"("temperature": 0.0, "repetition_penalty": 1.0, "max_tokens": 128,
      "logprobs": null, "stream": true, "stream_options": {"include_usage": true}, "ignore_eos": true, "best_of": 1)");
  EXPECT_TRUE(request.sampling.ignore_eos);
  EXPECT_EQ(request.max_tokens, 128);
}

TEST(ParseCompletion, best_of_may_equal_n) {
  EXPECT_EQ(completion(R"("n": 2, "best_of": 2)").n, 2);
}

TEST(ParseCompletion, echo_may_stand_alone) {
  EXPECT_TRUE(completion(R"("echo": true)").echo);
}

}  // namespace
}  // namespace bessemer
