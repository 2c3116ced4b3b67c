// Whole answers and frames, byte by byte.
#include <cmath>

#include <gtest/gtest.h>

#include "router/openai/render.h"

namespace bessemer {
namespace {

ValidRequest request_of(ApiKind kind, bool stream) {
  ValidRequest request;
  request.kind = kind;
  request.stream = stream;
  return request;
}

AnswerHead head(int32_t choices = 1) {
  AnswerHead head;
  head.id = "chatcmpl-1";
  head.created = 1700000000;
  head.model = "m";
  head.choices = choices;
  return head;
}

ChoiceText say(std::string text, int32_t choice = 0) {
  ChoiceText delta;
  delta.choice = choice;
  delta.text = std::move(text);
  delta.token_count = 1;
  return delta;
}

TokenText token(int32_t id, std::string bytes, float logprob) {
  TokenText token;
  token.id = id;
  token.bytes = std::move(bytes);
  token.logprob = logprob;
  return token;
}

TokenReport report(TokenText chosen, std::vector<TokenText> top, int32_t offset = 0) {
  TokenReport report;
  report.logprob = chosen.logprob;
  report.chosen = std::move(chosen);
  report.top = std::move(top);
  report.text_offset = offset;
  return report;
}

constexpr const char* kChunk =
    R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","system_fingerprint":null,)";
constexpr const char* kTextChunk =
    R"(data: {"id":"chatcmpl-1","object":"text_completion","created":1700000000,"model":"m","system_fingerprint":null,)";

std::string chunk(std::string_view rest) {
  return kChunk + std::string(rest) + "\n\n";
}
std::string text_chunk(std::string_view rest) {
  return kTextChunk + std::string(rest) + "\n\n";
}

TEST(RenderChat, stream) {
  const auto answer = make_answer(request_of(ApiKind::chat, true), head());
  EXPECT_EQ(
      answer->begin(),
      chunk(
          R"("choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]})"));
  EXPECT_EQ(
      answer->text(say("Hi \"you\"\n")),
      chunk(
          R"("choices":[{"index":0,"delta":{"content":"Hi \"you\"\n"},"logprobs":null,"finish_reason":null}]})"));
  EXPECT_EQ(answer->text(say("")), "") << "nothing moved, nothing is sent";
  EXPECT_EQ(
      answer->finish({}),
      chunk(
          R"("choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop","stop_reason":null}]})"));
  EXPECT_EQ(answer->end({}), "data: [DONE]\n\n");
}

TEST(RenderChat, stream_with_usage) {
  ValidRequest request = request_of(ApiKind::chat, true);
  request.include_usage = true;
  const auto answer = make_answer(request, head());
  EXPECT_EQ(
      answer->text(say("a")),
      chunk(
          R"("choices":[{"index":0,"delta":{"content":"a"},"logprobs":null,"finish_reason":null}],"usage":null})"));
  EXPECT_EQ(
      answer->end({.prompt_tokens = 7, .completion_tokens = 2, .cached_tokens = 5}),
      chunk(R"("choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9,)"
            R"("prompt_tokens_details":{"cached_tokens":5}}})") +
          "data: [DONE]\n\n");
}

TEST(RenderChat, stream_with_running_usage) {
  ValidRequest request = request_of(ApiKind::chat, true);
  request.include_usage = request.continuous_usage_stats = true;
  AnswerHead with_prompt = head();
  with_prompt.prompt_tokens = 3;
  const auto answer = make_answer(request, std::move(with_prompt));
  answer->begin();
  answer->text(say(""));  // a token that completes no character is counted too
  const std::string frame = answer->text(say("a"));
  EXPECT_NE(frame.find(R"("usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5)"),
            std::string::npos)
      << frame;
}

TEST(RenderChat, stream_of_several_choices_begins_in_order) {
  const auto answer = make_answer(request_of(ApiKind::chat, true), head(3));
  const std::string frames = answer->begin();
  const size_t zero = frames.find(R"("index":0)"), one = frames.find(R"("index":1)"),
               two = frames.find(R"("index":2)");
  EXPECT_LT(zero, one);
  EXPECT_LT(one, two);
  EXPECT_LT(two, frames.size());
}

TEST(RenderChat, whole) {
  const auto answer = make_answer(request_of(ApiKind::chat, false), head());
  EXPECT_EQ(answer->begin(), "");
  EXPECT_EQ(answer->text(say("Hel")), "");
  EXPECT_EQ(answer->text(say("lo")), "");
  EXPECT_EQ(answer->finish({.reason = FinishReason::length}), "");
  EXPECT_EQ(
      answer->end({.prompt_tokens = 4, .completion_tokens = 2}),
      R"({"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","system_fingerprint":null,)"
      R"("choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null},"logprobs":null,)"
      R"("finish_reason":"length","stop_reason":null}],"usage":{"prompt_tokens":4,"completion_tokens":2,)"
      R"("total_tokens":6,"prompt_tokens_details":{"cached_tokens":0}}})");
}

TEST(RenderChat, logprobs_of_half_a_character) {
  ValidRequest request = request_of(ApiKind::chat, true);
  request.top_logprobs = 2;
  const auto answer = make_answer(request, head());
  ChoiceText delta = say("");
  delta.tokens.push_back(
      report(token(5, "\xF0\x9F", -0.5f), {token(6, "a", -0.25f), token(5, "\xF0\x9F", -0.5f)}));
  EXPECT_EQ(
      answer->text(delta),
      chunk(
          "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"logprobs\":{\"content\":["
          "{\"token\":\"\xEF\xBF\xBD\",\"logprob\":-0.5,\"bytes\":[240,159],\"top_logprobs\":["
          "{\"token\":\"a\",\"logprob\":-0.25,\"bytes\":[97]},"
          "{\"token\":\"\xEF\xBF\xBD\",\"logprob\":-0.5,\"bytes\":[240,159]}]}],\"refusal\":null},"
          "\"finish_reason\":null}]}"));
}

TEST(RenderChat, stop_reason_is_a_string_or_an_id) {
  const auto answer = make_answer(request_of(ApiKind::chat, true), head());
  EXPECT_NE(answer->finish({.stop_string = "\"end"})
                .find(R"("finish_reason":"stop","stop_reason":"\"end"})"),
            std::string::npos);
  EXPECT_NE(answer->finish({.stop_id = 2}).find(R"("finish_reason":"stop","stop_reason":2})"),
            std::string::npos);
}

TEST(RenderChat, ids_come_along) {
  ValidRequest request = request_of(ApiKind::chat, true);
  request.return_token_ids = true;
  AnswerHead with_ids = head(2);
  with_ids.prompt_ids = {{1, 2}};
  const auto answer = make_answer(request, std::move(with_ids));
  const std::string begin = answer->begin();
  const size_t first = begin.find(R"(}],"prompt_token_ids":[1,2]})");
  EXPECT_LT(first, begin.find("\n\n")) << begin;
  EXPECT_EQ(begin.find("prompt_token_ids", first + 5), std::string::npos) << "once only: " << begin;
  ChoiceText delta = say("");
  delta.ids = {8, 9};
  EXPECT_EQ(answer->text(delta),
            chunk(R"("choices":[{"index":0,"delta":{"content":""},"logprobs":null,)"
                  R"("finish_reason":null,"token_ids":[8,9]}]})"));
}

TEST(RenderChat, prompt_logprobs_of_a_whole_answer) {
  ValidRequest request = request_of(ApiKind::chat, false);
  request.prompt_logprobs = 1;
  const auto answer = make_answer(request, head());
  TokenReport first = report(token(1, "<s>", 0), {});
  first.logprob.reset();
  TokenReport second = report(token(7, "b", -2), {token(9, "c", -1)});
  second.chosen.rank = 4;
  second.top.front().rank = 1;
  answer->prompt_logprobs(0, {first, second});
  answer->finish({});
  const std::string body = answer->end({});
  EXPECT_NE(body.find(R"("prompt_logprobs":[null,{"7":{"logprob":-2,"rank":4,"decoded_token":"b"},)"
                      R"("9":{"logprob":-1,"rank":1,"decoded_token":"c"}}]})"),
            std::string::npos)
      << body;
}

TEST(RenderCompletion, stream) {
  const auto answer = make_answer(request_of(ApiKind::completion, true), head());
  EXPECT_EQ(answer->begin(), "");
  EXPECT_EQ(
      answer->text(say("a")),
      text_chunk(R"("choices":[{"index":0,"text":"a","logprobs":null,"finish_reason":null}]})"));
  EXPECT_EQ(
      answer->finish({.reason = FinishReason::length}),
      text_chunk(
          R"("choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"length","stop_reason":null}]})"));
  EXPECT_EQ(answer->end({}), "data: [DONE]\n\n");
}

TEST(RenderCompletion, stream_of_several_choices_begins_in_order) {
  const auto answer = make_answer(request_of(ApiKind::completion, true), head(2));
  EXPECT_EQ(
      answer->begin(),
      text_chunk(R"("choices":[{"index":0,"text":"","logprobs":null,"finish_reason":null}]})") +
          text_chunk(R"("choices":[{"index":1,"text":"","logprobs":null,"finish_reason":null}]})"));
}

TEST(RenderCompletion, echoed_logprobs) {
  ValidRequest request = request_of(ApiKind::completion, false);
  request.top_logprobs = 1;
  const auto answer = make_answer(request, head());
  ChoiceText delta = say("ab");
  TokenReport first = report(token(1, "a", 0), {});
  first.logprob.reset();
  delta.tokens = {first, report(token(2, "b", -1.5f), {token(3, "c", -0.5f)}, 1)};
  answer->text(delta);
  answer->finish({});
  const std::string body = answer->end({});
  EXPECT_NE(
      body.find(
          R"("text":"ab","logprobs":{"tokens":["a","b"],"token_logprobs":[null,-1.5],)"
          R"("top_logprobs":[null,{"c":-0.5,"b":-1.5}],"text_offset":[0,1]},"finish_reason":"stop")"),
      std::string::npos)
      << body;
}

TEST(RenderCompletion, halves_of_characters_keep_their_own_names) {
  ValidRequest request = request_of(ApiKind::completion, true);
  request.top_logprobs = 3;
  const auto answer = make_answer(request, head());
  ChoiceText delta = say("");
  delta.tokens = {
      report(token(1, "\xE2\x80", -1), {token(2, "\xE2\x81", -0.5f), token(1, "\xE2\x80", -1),
                                        token(3, "x", -2), token(4, "x", -3)})};
  const std::string frame = answer->text(delta);
  EXPECT_NE(
      frame.find(R"("tokens":["bytes:\\xe2\\x80"],"token_logprobs":[-1],)"
                 R"("top_logprobs":[{"bytes:\\xe2\\x81":-0.5,"bytes:\\xe2\\x80":-1,"x":-2}])"),
      std::string::npos)
      << frame;
}

TEST(RenderCompletion, choices_of_several_prompts_know_theirs) {
  ValidRequest request = request_of(ApiKind::completion, false);
  request.return_token_ids = true;
  request.n = 2;
  AnswerHead four = head(4);
  four.prompt_ids = {{1}, {2}};
  const auto answer = make_answer(request, std::move(four));
  for (int32_t choice = 0; choice < 4; ++choice) answer->finish({.choice = choice});
  const std::string body = answer->end({});
  EXPECT_NE(
      body.find(R"({"index":1,"text":"","logprobs":null,"finish_reason":"stop","stop_reason":null,)"
                R"("token_ids":[],"prompt_token_ids":[1]})"),
      std::string::npos)
      << body;
  EXPECT_NE(body.find(R"("token_ids":[],"prompt_token_ids":[2]}])"), std::string::npos) << body;
}

TEST(RenderHead, names_are_escaped) {
  AnswerHead odd = head();
  odd.model = "a\"b";
  odd.system_fingerprint = "fp_1";
  const std::string frame = make_answer(request_of(ApiKind::chat, true), std::move(odd))->begin();
  EXPECT_NE(frame.find(R"("model":"a\"b","system_fingerprint":"fp_1",)"), std::string::npos)
      << frame;
}

}  // namespace
}  // namespace bessemer
