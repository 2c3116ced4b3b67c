// The worker that routers of other projects are measured over.
#include "bench/mock_openai/openai_worker.h"

#include <gtest/gtest.h>

#include "bench/serve/fetch.h"
#include "common/json.h"

namespace bessemer::bench {
namespace {

using std::chrono::milliseconds;

std::string ask(const OpenAiWorker& worker, const std::string& path, const std::string& body) {
  Target target;
  target.server = {"127.0.0.1", std::to_string(worker.port())};
  const auto fetched = fetch(target, path, body, std::chrono::seconds(10));
  EXPECT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(fetched->status, 200);
  return fetched->body;
}

size_t count(const std::string& text, const std::string& what) {
  size_t found = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++found;
  return found;
}

TEST(OpenAiWorker, AWholeAnswerHasItsTokens) {
  const auto worker = OpenAiWorker::start(milliseconds(1));
  ASSERT_TRUE(worker.ok()) << worker.status();
  const auto parsed = parse_json(ask(**worker, "/v1/completions", R"({"max_tokens": 5})"));
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(count(std::string(parsed->at("choices").at(0).at("text").as_string()), ","), 5u);
  EXPECT_EQ(parsed->at("usage").at("completion_tokens").as_int64(), 5);
}

TEST(OpenAiWorker, AStreamHasAFrameForEachTokenAndAnEnd) {
  const auto worker = OpenAiWorker::start(milliseconds(1));
  ASSERT_TRUE(worker.ok()) << worker.status();
  const std::string answer =
      ask(**worker, "/v1/chat/completions", R"({"max_tokens": 3, "stream": true})");
  EXPECT_EQ(count(answer, "\"content\":\""), 3u) << answer;
  EXPECT_EQ(count(answer, "\"finish_reason\":\"length\""), 1u) << answer;
  EXPECT_TRUE(answer.ends_with("data: [DONE]\n\n")) << answer;
}

// A step comes only where something runs: the second answer finds it asleep.
TEST(OpenAiWorker, WorksAgainAfterAPause) {
  const auto worker = OpenAiWorker::start(milliseconds(1));
  ASSERT_TRUE(worker.ok()) << worker.status();
  for (int i = 0; i < 2; ++i) {
    EXPECT_NE(ask(**worker, "/v1/completions", R"({"max_tokens": 1})").find("\"length\""),
              std::string::npos);
  }
  EXPECT_NE(ask(**worker, "/v1/models", "").find("\"mock\""), std::string::npos);
}

}  // namespace
}  // namespace bessemer::bench
