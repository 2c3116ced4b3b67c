// A worker's refusal and the parameter that the client is told of: what one end writes, the other
// must understand.
#include "router/endpoints/refused_param.h"

#include <functional>

#include <gtest/gtest.h>

#include "tests/service/fake_host.h"
#include "worker/service/start_request.h"

namespace bessemer::testing {
namespace {

struct RefusedField {
  std::function<void(v1::Start&)> break_it;
  const char* chat;
  const char* completion;
};

TEST(RefusedParam, EveryRefusalOfAParameterNamesIt) {
  const WorkerFacts facts = small_facts();
  const auto of_generate = [](std::function<void(v1::Generate&)> change) {
    return [change = std::move(change)](v1::Start& start) { change(*start.mutable_generate()); };
  };
  const RefusedField cases[] = {
      {of_generate([](auto& g) { g.set_n(1000); }), "n", "n"},
      {of_generate([](auto& g) { g.set_max_tokens(4), g.set_min_tokens(5); }), "min_tokens",
       "min_tokens"},
      {of_generate([](auto& g) { g.set_logprobs(21); }), "top_logprobs", "logprobs"},
      {of_generate([](auto& g) { g.set_prompt_logprobs(21); }), "prompt_logprobs",
       "prompt_logprobs"},
      {of_generate([](auto& g) { g.set_temperature(-1); }), "temperature", "temperature"},
      {of_generate([](auto& g) { g.set_top_p(2); }), "top_p", "top_p"},
      {of_generate([](auto& g) { g.set_min_p(2); }), "min_p", "min_p"},
      {of_generate([](auto& g) { g.set_typical_p(0); }), "typical_p", "typical_p"},
      {of_generate([](auto& g) { g.set_repetition_penalty(0); }), "repetition_penalty",
       "repetition_penalty"},
      {of_generate([](auto& g) { g.add_stop_ids(1 << 20); }), "stop_token_ids", "stop_token_ids"},
      {of_generate([](auto& g) { g.add_allowed_ids(1 << 20); }), "allowed_token_ids",
       "allowed_token_ids"},
      {of_generate([](auto& g) { g.add_bias_ids(1); }), "logit_bias", "logit_bias"},
      {of_generate([](auto& g) { g.add_banned()->add_ids(1 << 20); }), "bad_words", "bad_words"},
      {[](auto& start) { start.mutable_cache()->set_root(std::string(600, 'x')); }, "cache_salt",
       "cache_salt"},
      {[](auto& start) { start.mutable_input()->clear_ids(); }, "messages", "prompt"},
  };
  for (const auto& one : cases) {
    v1::Start start = small_start(1);
    one.break_it(start);
    const auto refusal = check_start(start, facts);
    ASSERT_TRUE(refusal) << one.chat;
    EXPECT_EQ(refused_param(refusal->detail, ApiKind::chat), one.chat) << refusal->detail;
    EXPECT_EQ(refused_param(refusal->detail, ApiKind::completion), one.completion)
        << refusal->detail;
  }
}

TEST(RefusedParam, WhatIsNoParameterHasNone) {
  for (const char* detail : {"", "12 prompt tokens and 9 output tokens are more than the 16",
                             "request_id has 3 bytes instead of 16", "never heard of it"})
    EXPECT_FALSE(refused_param(detail, ApiKind::chat)) << detail;
}

}  // namespace
}  // namespace bessemer::testing
