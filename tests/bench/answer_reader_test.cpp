#include "bench/serve/answer_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bessemer::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class AnswerReaderTest : public testing::Test {
 protected:
  static TimePoint at(int ms) { return TimePoint{} + std::chrono::milliseconds(1000 + ms); }
  bool event(int ms, const std::string& data, int status = 200) {
    return reader_.take(status, "data: " + data + "\n\n", at(ms));
  }
  Outcome outcome_;
  AnswerReader reader_{outcome_, true};
};

TEST_F(AnswerReaderTest, ACompletionWithUsage) {
  event(10, R"({"choices":[{"index":0,"text":"Hello","finish_reason":null}],"usage":null})");
  event(14, R"({"choices":[{"index":0,"text":" world","finish_reason":null}],"usage":null})");
  event(15, R"({"choices":[{"index":0,"text":"","finish_reason":"length"}],"usage":null})");
  event(16, R"({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,)"
            R"("prompt_tokens_details":{"cached_tokens":4}}})");
  event(17, "[DONE]");
  reader_.finish(at(20));
  EXPECT_EQ(outcome_.failure, Failure::none);
  EXPECT_EQ(reader_.text(), "Hello world");
  EXPECT_EQ(outcome_.first_text, at(10));
  EXPECT_EQ(outcome_.end, at(17)) << "the answer ends with [DONE], not with the framing";
  EXPECT_THAT(outcome_.gaps_ms, ElementsAre(4));
  EXPECT_TRUE(outcome_.counted);
  EXPECT_EQ(outcome_.prompt_tokens, 7);
  EXPECT_EQ(outcome_.output_tokens, 3);
  EXPECT_EQ(outcome_.cached_tokens, 4);
}

TEST_F(AnswerReaderTest, AChatWhoseFirstTextIsThought) {
  event(1, R"({"choices":[{"delta":{"role":"assistant","content":""}}]})");
  event(2, R"({"choices":[{"delta":{"reasoning_content":"Hm","reasoning":"Hm"}}]})");
  event(5, R"({"choices":[{"delta":{"content":"Iron"}}]})");
  event(6, R"({"choices":[{"delta":{},"finish_reason":"stop"}]})");
  event(7, "[DONE]");
  reader_.finish(at(7));
  EXPECT_EQ(outcome_.failure, Failure::none);
  EXPECT_EQ(outcome_.first_text, at(2)) << "neither the role nor an empty text is a first token";
  EXPECT_THAT(outcome_.gaps_ms, ElementsAre(3)) << "a thought under two names is one text";
  EXPECT_FALSE(outcome_.counted);
  EXPECT_EQ(outcome_.output_tokens, 2) << "without usage: one token for each text";
}

TEST_F(AnswerReaderTest, TextsOfOneReadHaveNoGap) {
  reader_.take(
      200, "data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"choices\":[{\"text\":\"b\"}]}\n\n",
      at(3));
  EXPECT_THAT(outcome_.gaps_ms, ElementsAre(0));
}

TEST_F(AnswerReaderTest, AnErrorInTheStream) {
  event(1, R"({"choices":[{"text":"a"}]})");
  EXPECT_TRUE(event(2, R"({"error":{"message":"worker lost","type":"server_error"}})"));
  event(3, "[DONE]");
  reader_.finish(at(3));
  EXPECT_EQ(outcome_.failure, Failure::stream);
  EXPECT_EQ(outcome_.message, "worker lost");
}

TEST_F(AnswerReaderTest, AStreamThatJustStops) {
  event(1, R"({"choices":[{"text":"a"}]})");
  reader_.finish(at(9));
  EXPECT_EQ(outcome_.failure, Failure::truncated);
  EXPECT_EQ(outcome_.end, at(9));
}

TEST_F(AnswerReaderTest, ARefusal) {
  reader_.take(429, R"({"error":{"message":"slow )", at(1));
  reader_.take(429, R"(down","type":"requests"}})", at(2));
  reader_.finish(at(2));
  EXPECT_EQ(outcome_.failure, Failure::status);
  EXPECT_EQ(outcome_.status, 429);
  EXPECT_EQ(outcome_.message, "slow down");
  EXPECT_THAT(outcome_.gaps_ms, IsEmpty());
}

TEST_F(AnswerReaderTest, ARefusalThatIsAPage) {
  reader_.take(502, "<html>" + std::string(10'000, 'x'), at(1));
  reader_.finish(at(2));
  EXPECT_EQ(outcome_.failure, Failure::status);
  EXPECT_EQ(outcome_.message.size(), kMaxMessageBytes);
}

TEST_F(AnswerReaderTest, WhatIsNoJsonEndsTheReading) {
  EXPECT_FALSE(event(1, "{\"choices\":"));
  EXPECT_EQ(outcome_.failure, Failure::malformed);
  EXPECT_THAT(outcome_.message, HasSubstr("{\"choices\":"));
}

TEST_F(AnswerReaderTest, OddShapesAreNoTexts) {
  for (const char* odd : {R"({})", R"({"choices":null})", R"({"choices":{}})", R"({"choices":[1]})",
                          R"({"choices":[{"delta":null,"text":3}]})", R"({"usage":[]})",
                          R"({"usage":{"prompt_tokens":"x"}})", R"({"error":null})"})
    EXPECT_TRUE(event(1, odd)) << odd;
  EXPECT_EQ(outcome_.failure, Failure::none);
  EXPECT_EQ(reader_.text(), "");
}

}  // namespace
}  // namespace bessemer::bench
